"""What LMDeploy's DeepSeek-V3 benchmark document has a person type, word by word (its two and its four nodes)."""

from __future__ import annotations

import shlex

CONTAINER = """docker run -it \\
    --gpus all \\
    --network host \\
    --ipc host \\
    --name lmdeploy \\
    --privileged \\
    -v "/path/to/the/huggingface/home/in/this/node":"root/.cache/huggingface" \\
    openmmlab/lmdeploy:latest-cu12"""
RAY_HEAD = "ray start --head --port=6379"
RAY_WORKER = "ray start --address=${head_node_ip}:6379"
SERVE = "lmdeploy serve api_server deepseek-ai/DeepSeek-V3 --backend pytorch --tp 16"
TORCHRUN = (
    "torchrun --nnodes=4 --nproc_per_node 8 --node_rank={node} --master_addr=${{master_node_ip}} --master_port=29500 "
    "dpep_torchrun_serve.py --proxy_url  http://${{master_node_ip}}:${{proxy_server_port}}"
)
# dpep_torchrun_serve.py: its defaults, what it puts into the environment, and the command that it builds.
DP_MASTER_PORT = 29555
BASE_PORT, PORT_STEP = 23333, 10
RANK = (
    "CUDA_VISIBLE_DEVICES={local_rank} lmdeploy serve api_server {model_path} "
    "--cache-max-entry-count 0.7 "
    "--max-prefill-token-num 1000 "
    "--server-name {local_ip} --server-port {port} "
    "--tp {tp} --dp {dp} --ep {ep} --dp-rank {dp_rank} "
    "--proxy-url {proxy_url} --backend {backend}"
)


def words(text: str, **names: object) -> list[str]:
    """The words that a shell would make of a command, with its ``${name}`` filled in."""
    text = text.replace("\\\n", " ")
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", str(value))
    return shlex.split(text)


def fields(argv: list[str]) -> dict[str, str | None]:
    """A command by its fields: flags with their values, other words by their place."""
    found: dict[str, str | None] = {}
    place = 0
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            found[str(place)] = word
            place += 1
        elif equals:
            found[name] = value
        elif (
            rest and not rest[0].startswith("-") and name not in ("--head", "--privileged", "--block", "-it")
        ):
            found[name] = rest.pop(0)
        else:
            found[name] = None
    return found
