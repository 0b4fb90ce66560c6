"""Descriptors and source ports: what cannot work is refused beforehand, with the command that changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferometer.checks.limits import (
    PortWatch,
    SystemLimits,
    check_limits,
    check_node_limits,
    descriptors_needed,
    limit_doubts,
    parse_ports,
    port_warning,
    system_limits,
)
from inferometer.client.probe import next_step_for_wire
from inferometer.errors import UsageError
from inferometer.loadgen.progress import Progress
from inferometer.record.types import ClientHealth, NodeRecord, PointRecord
from inferometer.spec import LoadPoint, build, load_points

ROOMY = SystemLimits(1024, 1 << 20, (32768, 60999))


def points(load: dict[str, Any]) -> tuple[LoadPoint, ...]:
    return load_points(build({"endpoint": {"url": "http://h"}, "load": load}))


def check(load: dict[str, Any], limits: SystemLimits, workers: int = 1) -> None:
    check_limits([(point, workers) for point in points(load)], limits)


def test_each_worker_needs_its_share_and_some_more() -> None:
    assert descriptors_needed(1000, 1) == 1064
    assert descriptors_needed(1000, 3) == 398


def test_a_plan_within_the_hard_limit_passes() -> None:
    check({"max_concurrency": 936}, SystemLimits(256, 1000, None))
    check({"max_concurrency": 20_000}, SystemLimits(256, None, None))


def test_too_few_descriptors_are_refused_with_the_line_that_helps() -> None:
    with pytest.raises(
        UsageError, match=r"concurrency 937 .* 1001 file descriptors, and 1000 are allowed"
    ) as caught:
        check({"max_concurrency": 937}, SystemLimits(256, 1000, None))
    assert "ulimit -n 1001 " in caught.value.next_step
    assert "--workers 2" in caught.value.next_step


def test_more_workers_share_the_streams() -> None:
    check({"max_concurrency": 937}, SystemLimits(256, 1000, None), workers=2)


def test_a_limit_too_low_for_any_number_of_workers_names_none() -> None:
    with pytest.raises(UsageError, match="allowed") as caught:
        check({"max_concurrency": 100}, SystemLimits(64, 64, None))
    assert "--workers" not in caught.value.next_step


@pytest.mark.parametrize(
    "load",
    [
        {"request_rate": 5000, "num_prompts": 50_000},
        {"request_rate": 1, "max_concurrency": 50_000},
        {"max_concurrency": 50_000, "num_prompts": 100},
    ],
)
def test_what_is_not_certain_is_not_refused(load: dict[str, Any]) -> None:
    check(load, SystemLimits(1024, 1024, (32768, 33999)))


def doubts(load: dict[str, Any], limits: SystemLimits) -> list[str]:
    return [doubt.message for doubt in limit_doubts([(point, 1) for point in points(load)], limits)]


def test_all_at_once_may_need_a_connection_for_each_request() -> None:
    load = {"request_rate": "inf", "num_prompts": 2000}
    scarce = SystemLimits(1024, 1024, (40_000, 40_999))
    check(load, scarce)
    descriptors, ports = doubts(load, scarce)
    assert descriptors.startswith("all at once opens 2000 connections, for which the worker needs 2064 file")
    assert descriptors.endswith("; requests will fail unless early answers free enough of them in time")
    assert "this system has 1000" in ports
    assert doubts(load, ROOMY) == []


def test_all_at_once_with_a_limit_is_certain() -> None:
    load = {"request_rate": "inf", "max_concurrency": 2000, "num_prompts": 9000}
    with pytest.raises(UsageError, match="opens 2000 connections"):
        check(load, SystemLimits(1024, 1024, None))
    assert doubts(load, SystemLimits(1024, 1024, None)) == []


def test_a_finite_rate_is_neither_refused_nor_doubted() -> None:
    assert doubts({"request_rate": 5000, "num_prompts": 50_000}, SystemLimits(64, 64, (1, 2))) == []


def test_more_streams_than_source_ports_are_refused_with_the_line_that_helps() -> None:
    with pytest.raises(
        UsageError, match=r"30000 connections to one address.* this system has 28232"
    ) as caught:
        check({"max_concurrency": 30_000}, ROOMY)
    assert caught.value.next_step == (
        'widen the range: sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
    )


def test_more_streams_than_there_can_be_ports() -> None:
    with pytest.raises(UsageError, match="70000 connections") as caught:
        check({"max_concurrency": 70_000}, ROOMY)
    assert "at most 64512 from one machine" in caught.value.next_step


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError, match="2 things are wrong"):
        check({"max_concurrency": 30_000}, SystemLimits(1024, 1024, (32768, 60999)))


@pytest.mark.parametrize(("text", "ports"), [("32768\t60999\n", (32768, 60999)), ("", None), ("a b", None)])
def test_the_range_as_the_kernel_writes_it(text: str, ports: tuple[int, int] | None) -> None:
    assert parse_ports(text) == ports


def test_a_system_without_that_file_has_no_known_range(tmp_path: Path) -> None:
    limits = system_limits(tmp_path / "absent")
    assert limits.ports is None
    assert limits.port_count is None


@pytest.mark.parametrize(
    ("load", "warned"),
    [
        ({"request_rate": 400, "num_prompts": 50_000}, False),
        ({"request_rate": 500, "num_prompts": 50_000}, True),
        ({"request_rate": 500, "num_prompts": 20_000}, False),
        ({"request_rate": 500, "duration_s": 300}, True),
        ({"request_rate": "inf", "num_prompts": 28_233}, True),
        ({"max_concurrency": 1000, "num_prompts": 100_000}, False),
    ],
)
def test_source_ports_that_wait_after_each_request(load: dict[str, Any], warned: bool) -> None:
    text = port_warning(points(load), ROOMY)
    assert (text is not None) == warned
    if text is not None:
        assert "28,232" in text
        assert "sysctl -w net.ipv4.ip_local_port_range" in text


class Told:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.others: list[object] = []

    def on_notice(self, text: str) -> None:
        self.notices.append(text)

    def on_progress(self, progress: Progress) -> None:
        self.others.append(progress)

    def on_point_end(self, point: PointRecord) -> None:
        self.others.append(point)


def ended(keep_alive: bool) -> PointRecord:
    health = ClientHealth(receive_clock="kernel", cpu_s=0.1, wall_s=1.0, keep_alive=keep_alive)
    return PointRecord(index=0, kind="warmup", load={}, health=[health])


@pytest.mark.parametrize(("keep_alive", "warnings"), [(True, 0), (False, 1)])
def test_the_warning_comes_once_and_only_when_connections_are_not_kept(
    keep_alive: bool, warnings: int
) -> None:
    told = Told()
    watch = PortWatch(told, points({"request_rate": 500, "num_prompts": 50_000}), ROOMY)
    watch.on_notice("hello")
    first, second = ended(keep_alive), ended(keep_alive)
    watch.on_point_end(first)
    watch.on_point_end(second)
    assert told.others == [first, second]
    assert len(told.notices) == 1 + warnings
    assert watch.warned == told.notices[1:]
    assert told.notices[0] == "hello"


def test_a_server_that_closes_is_no_trouble_for_a_small_run() -> None:
    told = Told()
    PortWatch(told, points({"request_rate": 5, "num_prompts": 50}), ROOMY).on_point_end(ended(False))
    assert told.notices == []


def test_running_out_of_ports_is_explained() -> None:
    step = next_step_for_wire("connect to 10.0.0.1 port 8000: Cannot assign requested address")
    assert "source port" in step
    assert "net.ipv4.ip_local_port_range" in step


def test_each_machine_of_a_cluster_has_to_bear_its_share_alone() -> None:
    """Two workers on a, one on b: of 3,000 streams a has 2,000, in processes of 1,000 each."""
    a = NodeRecord(
        node_id="a", name="a", address="10.0.0.1", workers=[0, 2], files=1064, ports=(40_000, 41_999)
    )
    b = NodeRecord(node_id="b", name="b", address="10.0.0.2", workers=[1], files=1063)
    load = points({"max_concurrency": 3000, "num_prompts": 9000})
    check_node_limits(load, [a, msgspec.structs.replace(b, files=1064)])
    with pytest.raises(UsageError) as few:
        check_node_limits(load, [a, b])
    assert few.value.message == (
        "node b (10.0.0.2): its share of concurrency 3000 opens 1000 connections, for which the worker needs 1064 file "
        "descriptors, and 1063 are allowed"
    )
    assert few.value.next_step == "there, before `ray start`: ulimit -n 1064; or a higher --workers-per-node"
    narrow = msgspec.structs.replace(a, ports=(40_000, 41_998))
    with pytest.raises(UsageError, match=r"node a \(10.0.0.1\).* this system has 1999"):
        check_node_limits(load, [narrow, msgspec.structs.replace(b, files=None)])
    check_node_limits(
        points({"max_concurrency": 1, "num_prompts": 9}), [a, msgspec.structs.replace(b, files=1)]
    )
