"""The two set-ups of LMDeploy's DeepSeek-V3 document, field by field against what it has a person type."""

from __future__ import annotations

from lmdeploy_document import (
    BASE_PORT,
    CONTAINER,
    DP_MASTER_PORT,
    PORT_STEP,
    RANK,
    RAY_HEAD,
    RAY_WORKER,
    SERVE,
    TORCHRUN,
    fields,
    words,
)

from inferometer.engines.nodes.containers import docker_flags, image_of
from inferometer.engines.nodes.processes import front_url, processes, rank_processes, rank_urls
from inferometer.engines.nodes.reading import make_plan
from inferometer.engines.nodes.rules import check_plan

MODEL = "deepseek-ai/DeepSeek-V3"
TWO = make_plan({"model": MODEL, "nodes": "10.0.0.1,10.0.0.2", "tp": 16, "container": "nvidia"})
NODES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
FOUR = make_plan(
    {
        "model": MODEL,
        "nodes": NODES,
        "dp": 32,
        "ep": 32,
        "proxy_port": 8000,
        "container": "nvidia",
        "image": "openmmlab/lmdeploy:latest-cu12-hopper",
    }
)


def test_two_nodes_tp16_are_a_ray_cluster_and_one_server() -> None:
    check_plan(TWO)
    head, wait, serve, worker = processes(TWO)
    # --block is ours: it keeps Ray below the script, which then can stop it without `ray stop`.
    assert fields(list(head.argv)) == fields(words(RAY_HEAD)) | {"--block": None}
    assert fields(list(worker.argv)) == fields(words(RAY_WORKER, head_node_ip="10.0.0.1")) | {"--block": None}
    assert fields(list(serve.argv)) == fields(words(SERVE))
    assert (head.node, wait.node, serve.node, worker.node) == (0, 0, 0, 1)
    assert (wait.kind, wait.argv[2:6]) == ("step", ("10.0.0.1:6379", "2", "GPU", "16"))
    assert front_url(TWO) == "http://10.0.0.1:23333"


def test_four_nodes_dp32_ep32_start_what_the_documents_script_starts() -> None:
    check_plan(FOUR)
    ranks = rank_processes(FOUR)
    assert len(ranks) == 32
    for rank, process in enumerate(ranks):
        node, local_rank = divmod(rank, 8)
        port = BASE_PORT + rank * PORT_STEP
        typed = RANK.format(
            local_rank=local_rank, model_path=MODEL, local_ip=NODES[node], port=port, tp=1, dp=32, ep=32,
            dp_rank=rank, proxy_url="http://10.0.0.1:8000", backend="pytorch",
        )  # fmt: skip
        visible, *command = words(typed)
        assert fields(list(process.argv)) == fields(command)
        name, _, value = visible.partition("=")
        assert process.env == {
            name: value,
            "LMDEPLOY_DP_MASTER_ADDR": "10.0.0.1",
            "LMDEPLOY_DP_MASTER_PORT": str(DP_MASTER_PORT),
        }
        assert (process.node, process.url) == (node, f"http://{NODES[node]}:{port}")


def test_the_proxy_stands_in_front_of_the_ranks() -> None:
    proxy = processes(FOUR)[0]
    assert fields(list(proxy.argv)) == {
        "0": "lmdeploy", "1": "serve", "2": "proxy",
        "--server-name": "10.0.0.1", "--server-port": "8000", "--routing-strategy": "min_expected_latency",
    }  # fmt: skip
    assert front_url(FOUR) == "http://10.0.0.1:8000"
    assert rank_urls(FOUR)[31] == "http://10.0.0.4:23643"


def test_torchrun_is_started_on_each_node_as_the_document_does() -> None:
    plan = FOUR.model_copy(update={"form": "torchrun"})
    check_plan(plan)
    _, *started = processes(plan)
    names = {"master_node_ip": "10.0.0.1", "proxy_server_port": "8000"}
    typed = [fields(words(TORCHRUN.format(node=node), **names)) for node in range(4)]
    assert [fields(list(process.argv)) for process in started] == typed


def test_the_container_has_every_field_of_the_documents() -> None:
    """But for the hub's directory, which the document mounts at a relative path that docker refuses."""
    for plan, image in ((TWO, CONTAINER), (FOUR, f"{CONTAINER}-hopper")):
        typed = fields(words(image))
        assert typed.pop("-v") == "/path/to/the/huggingface/home/in/this/node:root/.cache/huggingface"
        ours = fields(["docker", "run", "-it", *docker_flags(plan, None), image_of(plan) or ""])
        assert ours == typed
