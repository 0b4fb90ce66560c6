"""A plan as processes: what each node starts, word by word. Pure.

Sources of the command lines: LMDeploy's DeepSeek-V3 benchmark (``ray start``, ``lmdeploy serve api_server``,
``dpep_torchrun_serve.py``), https://docs.vllm.ai/en/stable/serving/data_parallel_deployment.html, and SGLang's
benchmark/deepseek_v3 (``--nnodes --node-rank --dist-init-addr``, ``--enable-dp-attention``).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Literal

import msgspec

from inferometer.engines.nodes.plan import EngineName, NodePlan, Vendor

VISIBLE_DEVICES: dict[Vendor, str] = {
    "nvidia": "CUDA_VISIBLE_DEVICES",
    "hygon": "HIP_VISIBLE_DEVICES",
    "ascend": "ASCEND_RT_VISIBLE_DEVICES",
}
RAY_RESOURCE: dict[Vendor, str] = {"nvidia": "GPU", "hygon": "GPU", "ascend": "NPU"}
RAY_CHECK = "ray_nodes.py"
TORCHRUN_SCRIPT = "dpep_torchrun_serve.py"
# What dpep_torchrun_serve.py gives each rank of LMDeploy.
RANK_MEMORY_SHARE = 0.7
RANK_PREFILL_TOKENS = 1000


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a plan.

    Attributes:
        name: of its log, and in messages.
        node: number of the node that starts it.
        argv: program and arguments.
        env: variables beside those of the shell.
        kind: ``step`` ends before the next is started, ``service`` stays.
        url: where it answers; None for what speaks no HTTP.
        rank: number of the rank; None for what is none.
        own_files: words of ``argv`` that are files beside the script that starts it.
    """

    name: str
    node: int
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    kind: Literal["service", "step"] = "service"
    url: str | None = None
    rank: int | None = None
    own_files: tuple[str, ...] = ()


def processes(plan: NodePlan) -> tuple[Process, ...]:
    """Everything that the plan starts, in the order in which a node starts it."""
    return _FORMS[plan.chosen_form](plan)


def rank_processes(plan: NodePlan) -> tuple[Process, ...]:
    """Each rank with its command line, its devices and its environment, whoever starts it."""
    return tuple(_rank(plan, rank) for rank in range(plan.ranks))


def front_url(plan: NodePlan) -> str | None:
    """The one address of the whole service; None where each rank has to be asked by itself."""
    if plan.proxy_port is not None:
        return url_of(plan.head, plan.proxy_port)
    return url_of(plan.head, plan.first_port) if plan.ranks == 1 else None


def rank_urls(plan: NodePlan) -> tuple[str, ...]:
    """The address of every rank; of the one server, where there is one."""
    return tuple(url_of(plan.nodes[plan.node_of(rank)], plan.rank_port(rank)) for rank in range(plan.ranks))


def url_of(host: str, port: int) -> str:
    """``http://HOST:PORT``; an IPv6 address gets its brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def environment(plan: NodePlan) -> dict[str, str]:
    """The variables of ``--env``."""
    return {name: value for name, _, value in (text.partition("=") for text in plan.env)}


def extra_words(plan: NodePlan) -> tuple[str, ...]:
    """The words of ``--extra``, split as a shell would.

    Raises:
        ValueError: quotes that do not end.
    """
    return tuple(word for text in plan.extra for word in shlex.split(text))


def _address(host: str, port: int) -> str:
    return url_of(host, port).removeprefix("http://")


def _ray(plan: NodePlan) -> tuple[Process, ...]:
    env = environment(plan)
    # --block keeps the cluster's processes below ours, so that ours can stop them: `ray stop` would end every Ray
    # on the machine.
    head = Process(
        name="ray",
        node=0,
        argv=("ray", "start", "--head", f"--port={plan.ray_port}", "--block"),
        env=env,
    )
    join = ("ray", "start", f"--address={_address(plan.head, plan.ray_port)}", "--block")
    workers = [Process(name="ray", node=node, argv=join, env=env) for node in range(1, len(plan.nodes))]
    check = (
        "python3", RAY_CHECK, _address(plan.head, plan.ray_port),
        str(len(plan.nodes)), RAY_RESOURCE[plan.vendor], str(plan.devices), f"{plan.ready_limit_s:g}",
    )  # fmt: skip
    wait = Process(name="ray-nodes", node=0, argv=check, env=env, kind="step", own_files=(RAY_CHECK,))
    serve = Process(
        name="server",
        node=0,
        argv=(*_SERVE[plan.engine](plan), *extra_words(plan)),
        env=env,
        url=front_url(plan),
    )
    return (head, wait, serve, *workers)


def _ranks(plan: NodePlan) -> tuple[Process, ...]:
    return (*_proxy(plan), *rank_processes(plan))


def _torchrun(plan: NodePlan) -> tuple[Process, ...]:
    per_node = plan.ranks // len(plan.nodes)
    started = [
        Process(
            name="torchrun",
            node=node,
            argv=(
                "torchrun", f"--nnodes={len(plan.nodes)}", "--nproc_per_node", str(per_node),
                f"--node_rank={node}", f"--master_addr={plan.head}", f"--master_port={plan.meeting_port}",
                TORCHRUN_SCRIPT, *(("--proxy_url", url) if (url := _proxy_url(plan)) else ()),
            ),
            own_files=(TORCHRUN_SCRIPT,),
        )
        for node in range(len(plan.nodes))
    ]  # fmt: skip
    return (*_proxy(plan), *started)


def _native(plan: NodePlan) -> tuple[Process, ...]:
    env, extra = environment(plan), extra_words(plan)
    if plan.is_single:
        argv = (*_SERVE[plan.engine](plan), *extra)
        return (Process(name="server", node=0, argv=argv, env=env, url=front_url(plan)),)
    line = {"vllm": _vllm_data_parallel, "sglang": _sglang_node}[plan.engine]
    return tuple(
        Process(
            name="server",
            node=node,
            argv=(*line(plan, node), *extra),
            env=env,
            url=front_url(plan) if node == 0 else None,
        )
        for node in range(len(plan.nodes))
    )


def _proxy_url(plan: NodePlan) -> str | None:
    return None if plan.proxy_port is None else url_of(plan.head, plan.proxy_port)


def _proxy(plan: NodePlan) -> tuple[Process, ...]:
    if plan.proxy_port is None:
        return ()
    argv = (
        "lmdeploy", "serve", "proxy", "--server-name", plan.head, "--server-port", str(plan.proxy_port),
        "--routing-strategy", plan.routing_strategy,
    )  # fmt: skip
    return (Process(name="proxy", node=0, argv=argv, env=environment(plan), url=_proxy_url(plan)),)


def _rank(plan: NodePlan, rank: int) -> Process:
    node = plan.node_of(rank)
    local = rank - node * (plan.ranks // len(plan.nodes))
    argv, own = _RANK[plan.engine](plan, rank)
    size = plan.world // plan.ranks
    devices = ",".join(str(local * size + number) for number in range(size))
    return Process(
        name=f"rank-{rank}",
        node=node,
        argv=(*argv, *extra_words(plan)) if plan.engine != "command" else argv,
        env={VISIBLE_DEVICES[plan.vendor]: devices, **own, **environment(plan)},
        url=url_of(plan.nodes[node], plan.rank_port(rank)),
        rank=rank,
    )


def _lmdeploy_rank(plan: NodePlan, rank: int) -> tuple[tuple[str, ...], dict[str, str]]:
    share = RANK_MEMORY_SHARE if plan.memory_share is None else plan.memory_share
    argv = (
        "lmdeploy", "serve", "api_server", plan.model,
        "--cache-max-entry-count", f"{share:g}",
        "--max-prefill-token-num", str(plan.max_prefill_tokens or RANK_PREFILL_TOKENS),
        "--server-name", plan.nodes[plan.node_of(rank)], "--server-port", str(plan.rank_port(rank)),
        "--tp", str(plan.tp), "--dp", str(plan.ranks), "--ep", str(plan.ep or 1), "--dp-rank", str(rank),
        *(("--proxy-url", url) if (url := _proxy_url(plan)) else ()), "--backend", "pytorch",
    )  # fmt: skip
    return argv, {
        "LMDEPLOY_DP_MASTER_ADDR": plan.head,
        "LMDEPLOY_DP_MASTER_PORT": str(plan.dp_master_port),
    }


def _sim_rank(plan: NodePlan, rank: int) -> tuple[tuple[str, ...], dict[str, str]]:
    host, port = plan.nodes[plan.node_of(rank)], str(plan.rank_port(rank))
    argv = ("inferometer", "serve-sim", "--host", host, "--port", port, "--seed", str(rank))
    return (*argv, *(("--model", plan.model) if plan.model else ())), {}


def _command_rank(plan: NodePlan, rank: int) -> tuple[tuple[str, ...], dict[str, str]]:
    node = plan.node_of(rank)
    values = {
        "model": plan.model,
        "host": plan.nodes[node],
        "port": str(plan.rank_port(rank)),
        "rank": str(rank),
        "local_rank": str(rank - node * (plan.ranks // len(plan.nodes))),
        "node": str(node),
        "ranks": str(plan.ranks),
        "head": plan.head,
    }
    # Other braces, as of JSON, are left alone; and so is what a value holds.
    place = re.compile(r"\{(" + "|".join(values) + r")\}")
    return tuple(place.sub(lambda found: values[found[1]], word) for word in extra_words(plan)), {}


def _limits(plan: NodePlan, memory: str, prefill: str) -> tuple[str, ...]:
    given = (memory, plan.memory_share), (prefill, plan.max_prefill_tokens)
    return tuple(word for flag, value in given if value is not None for word in (flag, f"{value:g}"))


def _port(plan: NodePlan, flag: str) -> tuple[str, ...]:
    return () if plan.port is None else (flag, str(plan.port))


def _lmdeploy_serve(plan: NodePlan) -> tuple[str, ...]:
    return (
        "lmdeploy", "serve", "api_server", plan.model, "--backend", "pytorch", "--tp", str(plan.tp),
        *_port(plan, "--server-port"), *_limits(plan, "--cache-max-entry-count", "--max-prefill-token-num"),
    )  # fmt: skip


def _vllm(plan: NodePlan) -> tuple[str, ...]:
    return (
        "vllm", "serve", plan.model, "--tensor-parallel-size", str(plan.tp),
        *(("--pipeline-parallel-size", str(plan.pp)) if plan.pp > 1 else ()),
        *(("--enable-expert-parallel",) if plan.ep else ()),
        *_limits(plan, "--gpu-memory-utilization", "--max-num-batched-tokens"),
    )  # fmt: skip


def _vllm_serve(plan: NodePlan) -> tuple[str, ...]:
    ray = ("--distributed-executor-backend", "ray") if plan.chosen_form == "ray" else ()
    return (*_vllm(plan), *ray, *_port(plan, "--port"))


def _vllm_data_parallel(plan: NodePlan, node: int) -> tuple[str, ...]:
    size = plan.dp or 1
    local = size // len(plan.nodes)
    own = ("--headless", "--data-parallel-start-rank", str(node * local)) if node else _port(plan, "--port")
    return (
        *_vllm(plan), "--data-parallel-size", str(size), "--data-parallel-size-local", str(local),
        "--data-parallel-address", plan.head, "--data-parallel-rpc-port", str(plan.meeting_port), *own,
    )  # fmt: skip


def _sglang(plan: NodePlan) -> tuple[str, ...]:
    return (
        "python3", "-m", "sglang.launch_server", "--model-path", plan.model, "--tp", str(plan.tp),
        *(("--pp-size", str(plan.pp)) if plan.pp > 1 else ()),
        *(("--dp", str(plan.dp), "--enable-dp-attention") if plan.dp else ()),
        *(("--ep-size", str(plan.ep)) if plan.ep else ()),
        *_limits(plan, "--mem-fraction-static", "--chunked-prefill-size"),
    )  # fmt: skip


def _sglang_node(plan: NodePlan, node: int) -> tuple[str, ...]:
    several = (
        "--dist-init-addr", _address(plan.head, plan.meeting_port),
        "--nnodes", str(len(plan.nodes)), "--node-rank", str(node),
    )  # fmt: skip
    # It listens on 127.0.0.1 unless told otherwise.
    own = ("--host", plan.nodes[node], "--port", str(plan.first_port))
    return (*_sglang(plan), *(several if len(plan.nodes) > 1 else ()), *own)


def _sglang_serve(plan: NodePlan) -> tuple[str, ...]:
    return _sglang_node(plan, 0)


_FORMS: dict[str, Callable[[NodePlan], tuple[Process, ...]]] = {
    "ray": _ray,
    "ranks": _ranks,
    "torchrun": _torchrun,
    "native": _native,
}
_SERVE: dict[EngineName, Callable[[NodePlan], tuple[str, ...]]] = {
    "lmdeploy": _lmdeploy_serve,
    "vllm": _vllm_serve,
    "sglang": _sglang_serve,
}
_RANK: dict[EngineName, Callable[[NodePlan, int], tuple[tuple[str, ...], dict[str, str]]]] = {
    "lmdeploy": _lmdeploy_rank,
    "sim": _sim_rank,
    "command": _command_rank,
}
# The forms that an engine has.
FORMS_OF: dict[EngineName, tuple[str, ...]] = {
    "lmdeploy": ("ray", "ranks", "torchrun", "native"),
    "vllm": ("ray", "native"),
    "sglang": ("native",),
    "sim": ("ranks",),
    "command": ("ranks",),
}
