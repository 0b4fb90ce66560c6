"""What of a plan is refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.engines.nodes.reading import make_plan, read_plan
from inferometer.engines.nodes.rules import check_plan
from inferometer.engines.nodes.scripts import plan_text
from inferometer.errors import UsageError

DP32 = {"nodes": "n0,n1,n2,n3", "dp": 32, "ep": 32, "proxy_port": 8000}
COMMAND = {"engine": "command", "extra": "serve"}

REFUSED = [
    ({"nodes": "n0,n0", "tp": 16}, "n0 is named 2 times"),
    ({"nodes": "n0,n1", "tp": 8}, "tp 8 takes 8 devices, and there are 2 x 8 = 16"),
    ({"nodes": "n0,n1", "tp": 2, "dp": 4, "engine": "vllm"}, "dp 4 x tp 2 takes 8 devices"),
    ({"nodes": "n0,n1", "devices_per_node": 3, "tp": 2, "dp": 3}, "3 ranks do not share 2 nodes evenly"),
    ({"nodes": "n0,n1", "devices_per_node": 3, "engine": "vllm", "tp": 3, "dp": 2, "ep": 4}, "all dp x tp = 6 ranks"),
    ({**DP32, "ep": 12}, "ep 12 takes 12 devices, and there are 4 x 8 = 32"),
    ({**DP32, "ep": None}, "dp 32 has to divide the 1 devices of tp 1"),
    ({**DP32, "tp": 3}, "tp 3 does not divide ep 32"),
    ({"nodes": "a,b", "engine": "sglang", "tp": 16, "ep": 12}, "ep 12 does not divide the 16 ranks"),
    ({"nodes": "a,b", "tp": 16, "form": "native"}, "form native of lmdeploy is one server on one node"),
    ({"nodes": "a,b", "tp": 16, "form": "ranks"}, "1 rank does not share 2 nodes evenly"),
    ({"nodes": "a,b", "tp": 16, "engine": "vllm", "form": "native"}, "1 rank does not share 2 nodes evenly"),
    ({"nodes": "a,b", "tp": 8, "pp": 2}, "--pp 2 changes nothing of lmdeploy in form ray"),
    ({"nodes": "a,b", "tp": 4, "dp": 4, "engine": "vllm", "form": "ray"}, "--dp 4 changes nothing of vllm"),
    ({"engine": "sim", "dp": 2, "tp": 2}, "--tp 2 changes nothing of sim"),
    ({"engine": "sim", "dp": 2, "ep": 2}, "--ep 2 changes nothing of sim"),
    ({"engine": "sim", "dp": 2, "memory_share": 0.5}, "--memory-share 0.5 changes nothing"),
    ({"engine": "sim", "dp": 2, "max_prefill_tokens": 5}, "--max-prefill-tokens 5 changes nothing"),
    ({"tp": 8, "ray_port": 99}, "--ray-port 99 changes nothing"),
    ({"tp": 8, "master_port": 99}, "--master-port 99 changes nothing"),
    ({"tp": 8, "dp_master_port": 99}, "--dp-master-port 99 changes nothing"),
    ({"tp": 8, "routing_strategy": "random"}, "--routing-strategy random changes nothing"),
    ({"nodes": "n0,n1", "tp": 16, "ep": 16}, "--dp is not given"),
    ({"nodes": "a,b", "engine": "sglang", "tp": 16, "dp": 3}, "dp 3 to divide tp 16"),
    ({**DP32, "proxy_port": 23333}, "port 23333 of n0 is asked for by rank 0 and by the proxy"),
    ({**DP32, "dp_master_port": 23343}, "rank 1 and by the meeting of the DP ranks"),
    ({**DP32, "form": "torchrun", "master_port": 29555}, "port 29555 of n0"),
    ({"nodes": "n0,n1", "tp": 16, "port": 6379}, "port 6379 of n0 is asked for by the server and by the Ray head"),
    ({**DP32, "port": 65500}, "rank 31 would listen at port 65810"),
    ({"nodes": "n0,n1", "tp": 16, "proxy_port": 8000}, "--proxy-port is for ranks of LMDeploy"),
    ({"nodes": "127.0.0.1,n1", "tp": 16}, "head 127.0.0.1 is an address that other nodes cannot reach"),
    ({"model": "", "tp": 8}, "no model is named"),
    ({"model": "--help", "tp": 8}, "begins with a dash"),
    ({"engine": "vllm", "form": "torchrun", "tp": 8}, "vllm has no form torchrun"),
    ({"tp": 8, "image": "x"}, "no container is asked for"),
    ({"engine": "sglang", "tp": 8, "container": "hygon"}, "no image of sglang for hygon devices"),
    ({"tp": 8, "container": "nvidia", "mount": "data"}, "is not HOST:CONTAINER"),
    ({"tp": 8, "env": "A B=1"}, "is not NAME=VALUE"),
    ({"tp": 8, "extra": "'open"}, "No closing quotation"),
    ({"engine": "command", "dp": 1}, "engine command has no command"),
    ({**COMMAND, "nodes": "a,b", "dp": 3}, "3 ranks do not share 2 nodes evenly"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_refused_with_a_next_step(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_plan(make_plan({"model": "org/model", **values}))
    assert words in caught.value.message
    assert caught.value.next_step or "; " in caught.value.message


@pytest.mark.parametrize(
    "values",
    [
        {"engine": "vllm", "tp": 8, "dp": 1},
        {"engine": "vllm", "nodes": "a,b", "tp": 16},
        {"engine": "vllm", "nodes": "a,b", "tp": 2, "pp": 2, "dp": 4, "ep": 8},
        {"engine": "sglang", "nodes": "a,b", "tp": 8, "pp": 2, "dp": 4},
        {"tp": 8, "form": "ranks"},
        {"nodes": "a,b", "dp": 2, "ep": 16, "tp": 8},
        {"nodes": "a", "dp": 4, "tp": 8, "form": "torchrun", "master_port": 99, "proxy_port": 8000},
        {"engine": "sim", "nodes": "a,b"},
    ],
)
def test_what_can_be_carried_out_passes(values: dict[str, object]) -> None:
    check_plan(make_plan({"model": "org/model", **values}))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        check_plan(make_plan({"model": "m", **DP32, "ep": 12, "proxy_port": 23333}))
    assert "3 things are wrong" in caught.value.message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nodes": "a b;c"}, "--nodes"),
        ({"nodes": "a;reboot"}, "neither a host name nor an IP address"),
        ({"engine": "vlm"}, "--engine 'vlm'"),
        ({"port": 70000}, "--port 70000"),
        ({"tp": 0}, "--tp 0"),
        ({"nodes": ","}, "--nodes []: no node is named"),
        ({"env": {"A": 1}}, "write it as a list"),
    ],
)
def test_values_of_a_wrong_kind_are_named_by_their_flag(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(values)
    assert words in caught.value.message


def test_a_plan_is_read_from_the_file_that_it_writes(tmp_path: Path) -> None:
    plan = make_plan(
        {"model": "a; rm -rf /", **DP32, "env": ["A=b c"], "ready_limit_s": "5m", "extra": "--x 'y z'"}
    )
    file = tmp_path / "plan.yaml"
    file.write_text(plan_text(plan))
    assert make_plan(read_plan(file)) == plan


def test_a_file_takes_flags_names_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("model: m\ndevices-per-node: 4\nready-limit: 60\n")
    assert read_plan(file) == {"model": "m", "devices_per_node": 4, "ready_limit_s": 60}
    file.write_text("model: m\nnode: a\n")
    with pytest.raises(UsageError, match="unknown key 'node'"):
        read_plan(file)
    for text, words in (("- a", "is no plan"), ("a: [", "not YAML"), ("", "is no plan")):
        file.write_text(text)
        with pytest.raises(UsageError, match=words):
            read_plan(file)
    with pytest.raises(UsageError, match="No such file"):
        read_plan(tmp_path / "none.yaml")
