"""A run in progress in numbers, from a journal that is written as a worker writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ui_runs import client, house, store_run

from inferometer.clock import VirtualClock
from inferometer.errors import RunFolderError
from inferometer.exchange.prometheus.exposition import exposition
from inferometer.record import ChunkColumns, PointRecord, RequestRecord
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.lock import writing
from inferometer.record.types import HealthSample
from inferometer.ui.exposition import families_of
from inferometer.ui.live import Watch, Watches, running
from inferometer.ui.live_blocks import blocks_of, pictures_of

S = 1_000_000_000
EPOCHS_NS = (7 * S, 4000 * S)  # the second worker is on another machine, with another clock


def point(index: int = 1) -> PointRecord:
    load = {"max_concurrency": 4}
    return PointRecord(index=index, kind="measure", load=load, planned_requests=60, workers=2)


def start(worker: int) -> PointStart:
    record = point()
    record.epoch_ns = EPOCHS_NS[worker]
    return PointStart(record, worker)


def request(worker: int, number: int, failed: bool = False) -> RequestFrame:
    """It ends at 0.1 s for each number; its first token comes 50 ms after it was due, the other nine in 90 ms."""
    end_ns = EPOCHS_NS[worker] + (number + 1) * S // 10
    times = {"planned_ns": end_ns - 140_000_000, "sent_ns": end_ns - 139_000_000, "end_ns": end_ns}
    if not failed:
        times |= {"first_token_ns": end_ns - 90_000_000, "last_token_ns": end_ns}
    record = RequestRecord(
        point=1,
        index=2 * number + worker,
        worker=worker,
        status="http_error" if failed else "ok",
        streamed=True,
        output_tokens_server=None if failed else 10,
        **times,
    )
    return RequestFrame(record, ChunkColumns())


def sample(worker: int, at_s: float, in_flight: int) -> HealthSample:
    return HealthSample(
        point=1,
        worker=worker,
        at_ns=EPOCHS_NS[worker] + int(at_s * S),
        span_s=1.0,
        cpu_share=0.1,
        voluntary_switches_per_s=0.0,
        involuntary_switches_per_s=0.0,
        loop_turns_per_s=1.0,
        backlog_peak_bytes=0,
        backlog_peak_age_s=0.0,
        in_flight_requests=in_flight,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = store_run(tmp_path, "a", state="running", points=[point()], verdict=None)
    (folder / "journal").mkdir()
    return folder


def write(folder: Path, worker: int, *frames: object) -> None:
    writer = JournalWriter(folder / "journal" / f"worker-{worker}.seg")
    for frame in frames:
        writer.append(frame)  # type: ignore[arg-type]
    writer.close()


def test_two_workers_add_up_each_by_its_own_clock(folder: Path) -> None:
    write(folder, 0, start(0), *(request(0, i) for i in range(20)), sample(0, 2.0, 3))
    write(folder, 1, start(1), *(request(1, i, failed=i == 9) for i in range(20)), sample(1, 2.0, 1))
    run, course = Watch(folder, VirtualClock()).look()
    (live,) = run.points
    assert (run.state, run.points_total) == ("open", 1)
    assert (live.done, live.failed, live.in_flight, live.elapsed_s) == (40, 1, 4, 2.0)
    assert (live.output_tokens, live.output_rate_per_s, live.request_rate_per_s) == (390, 195.0, 20.0)
    assert live.ttft_ms == {"p50": pytest.approx(50.0), "p90": None, "p99": None}
    assert live.tpot_ms["p50"] == pytest.approx(10.0)
    assert course is not None
    np.testing.assert_allclose(course.seconds, [1.0, 2.0])
    assert course.requests_per_s.sum() == 38  # two end with the second bin, and begin the third
    np.testing.assert_allclose(course.ttft_ms, [50.0, 50.0])
    assert course.in_flight[-1] == 4
    assert {chart.key for chart in pictures_of(course)} == {"live_rates", "live_in_flight", "live_ttft"}
    assert len(blocks_of(run)) == 2


def test_a_look_soon_after_another_costs_nothing_and_a_later_one_sees_more(folder: Path) -> None:
    clock = VirtualClock()
    watch = Watch(folder, clock)
    first, course = watch.look()
    assert (first.points, course) == ([], None)
    write(folder, 0, start(0), request(0, 1))
    assert watch.look()[0] is first
    clock.advance_ns(S)
    assert watch.look()[0].points[0].done == 1


def test_a_load_point_has_ended_when_all_of_its_workers_have(folder: Path) -> None:
    ended = [point(), point()]
    for worker in (0, 1):
        ended[worker].end_ns = EPOCHS_NS[worker] + 3 * S
    write(folder, 0, start(0), request(0, 1), PointEnd(ended[0], 0))
    clock = VirtualClock()
    watch = Watch(folder, clock)
    assert not watch.look()[0].points[0].ended
    write(folder, 1, start(1), PointEnd(ended[1], 1))
    clock.advance_ns(S)
    (live,) = watch.look()[0].points
    assert (live.ended, live.in_flight, live.elapsed_s) == (True, 0, 3.0)


def test_a_killed_run_is_told_from_a_slow_one(folder: Path) -> None:
    write(folder, 0, start(0))
    written_ns = (folder / "journal" / "worker-0.seg").stat().st_mtime_ns
    clock = VirtualClock(realtime_ns=written_ns + 5 * S)
    watch, watches = Watch(folder, clock), Watches(clock)
    assert watch.look()[0].state == "open"
    clock.advance_ns(60 * S)
    with writing(folder):
        assert watch.look()[0].state == "open"
        assert [run.name for run in running(watches, [folder])] == ["a"]
    clock.advance_ns(S)
    quiet = Watch(folder, clock).look()[0]  # known at the first look, too
    assert (quiet.state, quiet.quiet_s) == ("quiet", pytest.approx(66.0))
    assert running(watches, [folder]) == []
    clock.advance_ns(S)
    assert watch.look()[0].state == "quiet"
    (folder / "journal" / "worker-0.seg").unlink()
    (folder / "journal").rmdir()
    clock.advance_ns(S)
    assert watch.look()[0].state == "closed"
    (folder / "run.json").unlink()
    clock.advance_ns(S)
    with pytest.raises(RunFolderError):
        watch.look()


def test_prometheus_gets_the_load_point_under_way(folder: Path) -> None:
    write(folder, 0, start(0), *(request(0, i) for i in range(20)), sample(0, 2.0, 3))
    run, _ = Watch(folder, VirtualClock()).look()
    text = exposition(families_of([run]), openmetrics=False)
    assert "inferometer_runs_in_progress 1\n" in text
    assert 'inferometer_run_info{run="a",model="m"} 1\n' in text
    assert 'inferometer_requests_done_total{run="a",kind="measure"} 20\n' in text
    assert 'inferometer_requests_in_flight{run="a"} 3\n' in text
    assert 'kind="measure",load="concurrency 4"} 1\n' in text
    assert 'inferometer_ttft_seconds{run="a",quantile="0.5"} 0.05\n' in text
    assert 'quantile="0.99"' not in text
    nothing = exposition(families_of([]), openmetrics=True)
    assert nothing.splitlines()[2:] == ["inferometer_runs_in_progress 0", "# EOF"]


def test_the_page_needs_no_script_and_leads_to_the_report_at_the_end(folder: Path) -> None:
    write(folder, 0, start(0), *(request(0, i) for i in range(20)))
    pages = client(house(folder.parent))
    assert pages.get("/runs/a").headers["location"] == "/runs/a/live"
    text = pages.get("/runs/a/live").text
    assert "20 / 60" in text
    assert '<noscript><meta http-equiv="refresh"' in text
    assert pages.get("/api/runs/a/live").json()["points"][0]["done"] == 20
    assert "inferometer_runs_in_progress 1" in pages.get("/metrics").text


def test_the_stream_tells_what_there_is_and_that_it_has_ended(folder: Path) -> None:
    for segment in (folder / "journal").iterdir():
        segment.unlink()
    (folder / "journal").rmdir()
    answer = client(house(folder.parent)).get("/runs/a/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "event: end\ndata: {}\n\n"
