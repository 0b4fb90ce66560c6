"""vLLM, SGLang and containers of other vendors, as their own documents write them."""

from __future__ import annotations

import pytest

from inferometer.engines.nodes.containers import docker_flags, image_of
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import front_url, processes, rank_processes, rank_urls
from inferometer.engines.nodes.reading import make_plan
from inferometer.engines.nodes.rules import check_plan


def plan(**values: object) -> NodePlan:
    made = make_plan({"model": "org/model", **values})
    check_plan(made)
    return made


def lines(made: NodePlan) -> list[str]:
    return [f"{one.node} {' '.join(one.argv)}" for one in processes(made)]


def test_vllm_data_parallel_over_two_nodes() -> None:
    """As vLLM's page on data parallel deployment: the second node is headless and begins at its first rank."""
    made = plan(engine="vllm", nodes="a,b", devices_per_node=2, dp=4, master_port=13345)
    serve = (
        "vllm serve org/model --tensor-parallel-size 1 --data-parallel-size 4 --data-parallel-size-local 2 "
        "--data-parallel-address a --data-parallel-rpc-port 13345"
    )
    assert lines(made) == [f"0 {serve}", f"1 {serve} --headless --data-parallel-start-rank 2"]
    assert (front_url(made), rank_urls(made)) == ("http://a:8000", ("http://a:8000",))


def test_vllm_over_nodes_without_data_parallel_is_a_ray_cluster() -> None:
    head, _, serve, worker = lines(plan(engine="vllm", nodes="a,b", tp=8, pp=2, port=8001))
    assert (head, worker) == (
        "0 ray start --head --port=6379 --block",
        "1 ray start --address=a:6379 --block",
    )
    assert serve == (
        "0 vllm serve org/model --tensor-parallel-size 8 --pipeline-parallel-size 2 "
        "--distributed-executor-backend ray --port 8001"
    )


def test_sglang_joins_nodes_by_itself() -> None:
    """As SGLang's benchmark/deepseek_v3; with DP attention --tp stays the size of the whole."""
    first, second = lines(plan(engine="sglang", nodes="10.0.0.1,10.0.0.2", tp=16, dp=8, ep=16))
    serve = (
        "python3 -m sglang.launch_server --model-path org/model --tp 16 --dp 8 --enable-dp-attention --ep-size 16 "
        "--dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank"
    )
    assert first == f"0 {serve} 0 --host 10.0.0.1 --port 30000"
    assert second == f"1 {serve} 1 --host 10.0.0.2 --port 30000"


def test_one_node_needs_no_cluster() -> None:
    assert lines(plan(tp=8)) == ["0 lmdeploy serve api_server org/model --backend pytorch --tp 8"]


def test_a_dp_rank_gets_its_share_of_the_devices() -> None:
    """LMDeploy's --dp divides the world, which is --ep, or without experts --tp; it does not multiply it."""
    made = plan(nodes="a,b", devices_per_node=4, tp=2, dp=4, ep=8, accelerator="ascend")
    dense = plan(nodes="a", devices_per_node=4, tp=4, dp=2)
    assert [process.env["CUDA_VISIBLE_DEVICES"] for process in rank_processes(dense)] == ["0,1", "2,3"]
    visible = [process.env["ASCEND_RT_VISIBLE_DEVICES"] for process in rank_processes(made)]
    assert visible == ["0,1", "2,3", "0,1", "2,3"]


def test_a_command_gets_its_places_filled_and_other_braces_left() -> None:
    made = plan(
        engine="command", model="{port}", nodes="a,b", dp=2, extra="serve {model} {rank}/{ranks} '{\"a\": 1}'"
    )
    assert [process.argv for process in rank_processes(made)] == [
        ("serve", "{port}", "0/2", '{"a": 1}'),
        ("serve", "{port}", "1/2", '{"a": 1}'),
    ]


def test_an_ipv6_address_has_its_brackets() -> None:
    assert rank_urls(plan(engine="sim", nodes="::1", dp=1)) == ("http://[::1]:23333",)


def test_the_container_of_a_dcu() -> None:
    """Every field of the DCU load test's ``docker run`` of vLLM."""
    made = plan(engine="vllm", tp=8, container="hygon", mount="/data/Qwen:/models")
    words = list(docker_flags(made, None))
    for flag in (
        "--device=/dev/kfd", "--device=/dev/mkfd", "--device=/dev/dri", "--cap-add=SYS_PTRACE", "--ipc=host",
        "--network=host", "--shm-size=16G",
    ):  # fmt: skip
        words.remove(flag)
    pairs = [("--security-opt", "seccomp=unconfined"), ("--group-add", "video"), ("--name", "vllm")]
    pairs += [("-v", "/opt/hyhal:/opt/hyhal"), ("-v", "/data/Qwen:/models")]
    assert list(zip(words[::2], words[1::2], strict=True)) == pairs
    assert (
        image_of(made)
        == "image.sourcefind.cn:5000/dcu/admin/base/pytorch:2.3.0-ubuntu22.04-dtk24.04.3-py3.10"
    )


def test_the_container_of_npus_has_each_of_them() -> None:
    made = plan(engine="vllm", tp=8, container="ascend", image="quay.io/ascend/vllm-ascend:v0.9.1")
    words = docker_flags(made, "/models/qwen")
    assert [word for word in words if "davinci" in word] == [
        "--device=/dev/davinci_manager", *(f"--device=/dev/davinci{n}" for n in range(8))
    ]  # fmt: skip
    assert {"--device=/dev/devmm_svm", "--device=/dev/hisi_hdc", "/models/qwen:/models/qwen:ro"} <= set(words)
    assert "/usr/local/Ascend/driver/lib64:/usr/local/Ascend/driver/lib64" in words


@pytest.mark.parametrize(
    ("engine", "vendor"), [("vllm", "nvidia"), ("sglang", "nvidia"), ("lmdeploy", "nvidia")]
)
def test_engines_have_an_image_of_their_own(engine: str, vendor: str) -> None:
    assert engine in str(image_of(plan(engine=engine, tp=8, container=vendor)))
