"""What of a plan cannot be carried out, found before anything is started. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator

from inferometer.engines.nodes.containers import image_of
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import FORMS_OF, extra_words
from inferometer.engines.nodes.reading import flag_of
from inferometer.spec.problems import Problem, raise_problems

_RAY_OWN_PORTS = {"Ray's client server": 10001, "Ray's dashboard": 8265}
# Where a value that is no default changes what is started.
_USED: dict[str, Callable[[NodePlan], bool]] = {
    "tp": lambda plan: plan.engine not in ("sim", "command"),
    "pp": lambda plan: plan.engine in ("vllm", "sglang"),
    "dp": lambda plan: plan.chosen_form != "ray",
    "ep": lambda plan: plan.engine not in ("sim", "command"),
    "memory_share": lambda plan: plan.engine not in ("sim", "command"),
    "max_prefill_tokens": lambda plan: plan.engine not in ("sim", "command"),
    "routing_strategy": lambda plan: plan.proxy_port is not None,
    "ray_port": lambda plan: plan.chosen_form == "ray",
    "master_port": lambda plan: (
        plan.chosen_form == "torchrun" or (plan.chosen_form == "native" and not plan.is_single)
    ),
    "dp_master_port": lambda plan: plan.engine == "lmdeploy" and plan.chosen_form in ("ranks", "torchrun"),
}


def check_plan(plan: NodePlan) -> None:
    """Nothing in it contradicts itself.

    Raises:
        UsageError: everything that does, at once.
    """
    basic = list(_basic(plan))
    raise_problems(basic)
    raise_problems([*_sizes(plan), *_ports(plan), *_container(plan)])


def _basic(plan: NodePlan) -> Iterator[Problem]:
    if not plan.model and plan.engine not in ("sim", "command"):
        yield Problem("no model is named", "give --model NAME")
    if plan.model.startswith("-"):
        yield Problem(
            f"--model {plan.model!r} begins with a dash, and the engine would take it for a flag",
            f"write ./{plan.model} if it is a directory",
        )
    for name, times in Counter(plan.nodes).items():
        if times > 1:
            yield Problem(f"node {name} is named {times} times", "name each node once in --nodes")
    if len(plan.nodes) > 1 and _is_loopback(plan.head) and not all(map(_is_loopback, plan.nodes)):
        yield Problem(
            f"the head {plan.head} is an address that other nodes cannot reach",
            "name it by its address in the network of the nodes",
        )
    forms = FORMS_OF[plan.engine]
    if plan.chosen_form not in forms:
        yield Problem(
            f"{plan.engine} has no form {plan.chosen_form}", f"choose --form {' or '.join(forms)}, or auto"
        )
    elif plan.engine == "lmdeploy" and plan.chosen_form == "native" and not plan.is_single:
        yield Problem(
            "form native of lmdeploy is one server on one node",
            "choose --form ray, ranks or torchrun, or auto",
        )
    for name, is_used in _USED.items():
        value = getattr(plan, name)
        if value != NodePlan.model_fields[name].default and not is_used(plan):
            yield Problem(
                f"{flag_of(name)} {value} changes nothing of {plan.engine} in form {plan.chosen_form}",
                "drop it",
            )
    yield from _words(plan)


def _words(plan: NodePlan) -> Iterator[Problem]:
    for text in plan.env:
        name, equals, _ = text.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            yield Problem(f"--env {text!r} is not NAME=VALUE", "write it as --env NCCL_SOCKET_IFNAME=eth0")
    for text in plan.mount:
        if not text.startswith("/") or ":/" not in text:
            yield Problem(
                f"--mount {text!r} is not HOST:CONTAINER, both absolute", "write it as --mount /data:/data"
            )
    try:
        words = extra_words(plan)
    except ValueError as error:
        yield Problem(f"--extra: {error}", "close the quotes")
        return
    if plan.engine == "command" and not words:
        yield Problem(
            "engine command has no command",
            'give it as --extra "PROGRAM --port {port}"; {host} {port} {rank} {local_rank} {node} {ranks} are filled',
        )


def _sizes(plan: NodePlan) -> Iterator[Problem]:
    nodes = len(plan.nodes)
    is_spread = plan.chosen_form in ("ranks", "torchrun")
    copies = plan.ranks if is_spread else (plan.dp or 1)
    if copies % nodes and (is_spread or (plan.engine == "vllm" and plan.chosen_form == "native")):
        several = ", or --form ray" if "ray" in FORMS_OF[plan.engine] else ""
        yield Problem(
            f"{copies} rank{'s do' if copies > 1 else ' does'} not share {nodes} nodes evenly",
            f"choose --dp a multiple of the nodes{several}",
        )
    if plan.engine in ("sim", "command"):
        return
    if plan.world != plan.devices:
        yield Problem(
            f"{_asked(plan)} takes {plan.world} devices, and there are {nodes} x {plan.devices_per_node} = "
            f"{plan.devices} devices",
            "every device needs a rank: change the sizes, --nodes or --devices-per-node",
        )
    if plan.engine == "sglang" and plan.dp and plan.tp % plan.dp:
        yield Problem(
            f"SGLang's DP attention needs dp {plan.dp} to divide tp {plan.tp}",
            "give --tp as all devices together",
        )
    if plan.engine == "lmdeploy" and plan.world % (plan.dp or 1):
        yield Problem(
            f"LMDeploy's dp {plan.dp} has to divide the {plan.world} devices of {_asked(plan)}",
            "give --ep as all devices together; without --ep, --tp",
        )
    yield from _experts(plan)


def _asked(plan: NodePlan) -> str:
    """The sizes that count devices, as they were asked for."""
    if plan.engine == "lmdeploy":
        return f"tp {plan.tp}" if plan.world == plan.tp else f"ep {plan.ep}"
    sizes = {"dp": plan.dp if plan.engine == "vllm" else None, "tp": plan.tp, "pp": plan.pp}
    return " x ".join(f"{name} {size}" for name, size in sizes.items() if name == "tp" or (size or 1) > 1)


def _experts(plan: NodePlan) -> Iterator[Problem]:
    if plan.ep is None:
        return
    ranks = plan.world // plan.pp
    if plan.engine == "vllm" and plan.ep != ranks:
        yield Problem(
            f"vLLM spreads experts over all dp x tp = {ranks} ranks, not over ep {plan.ep}",
            f"give --ep {ranks}",
        )
    elif plan.engine == "lmdeploy" and plan.dp is None:
        yield Problem("LMDeploy spreads experts over DP ranks, and --dp is not given", f"give --dp {ranks}")
    elif plan.engine == "lmdeploy" and plan.ep % plan.tp:
        yield Problem(
            f"LMDeploy's tp {plan.tp} does not divide ep {plan.ep}",
            "--tp is the size of its dense layers: lower it",
        )
    elif ranks % plan.ep:
        yield Problem(f"ep {plan.ep} does not divide the {ranks} ranks", f"give --ep {ranks}")


def _ports(plan: NodePlan) -> Iterator[Problem]:
    last = plan.rank_port(plan.ranks - 1)
    if last > 65535:
        yield Problem(
            f"rank {plan.ranks - 1} would listen at port {last}, and the last port is 65535",
            "lower --port or --port-step",
        )
    if plan.proxy_port is not None and not (
        plan.engine == "lmdeploy" and plan.chosen_form in ("ranks", "torchrun")
    ):
        yield Problem(
            "--proxy-port is for ranks of LMDeploy",
            "drop it; other engines have one address of their own, or none",
        )
    # Containers share the network of their host, so that ports of all processes of a node must differ.
    for node, name in enumerate(plan.nodes):
        users: dict[int, list[str]] = {}
        for what, port in _taken(plan, node):
            users.setdefault(port, []).append(what)
        for port, several in users.items():
            if len(several) > 1:
                yield Problem(
                    f"port {port} of {name} is asked for by {' and by '.join(several)}",
                    "move one: --port, --port-step, --proxy-port, --ray-port, --master-port, --dp-master-port",
                )


def _taken(plan: NodePlan, node: int) -> Iterator[tuple[str, int]]:
    form = plan.chosen_form
    for rank in range(plan.ranks):
        if plan.node_of(rank) == node:
            yield (f"rank {rank}" if plan.ranks > 1 else "the server"), plan.rank_port(rank)
    if form == "ray":
        yield from ((what, port) for what, port in _RAY_OWN_PORTS.items() if node == 0)
    if node:
        return
    if plan.proxy_port is not None:
        yield "the proxy", plan.proxy_port
    if form == "ray":
        yield "the Ray head", plan.ray_port
    if form == "torchrun" or (form == "native" and not plan.is_single):
        yield "the meeting of the nodes (--master-port)", plan.meeting_port
    if plan.engine == "lmdeploy" and form in ("ranks", "torchrun"):
        yield "the meeting of the DP ranks (--dp-master-port)", plan.dp_master_port


def _container(plan: NodePlan) -> Iterator[Problem]:
    given = {
        "--image": plan.image,
        "--container-name": plan.container_name,
        "--mount": plan.mount,
        "--hf-home": plan.hf_home,
    }
    stray = [flag for flag, value in given.items() if value]
    if plan.container is None and stray:
        yield Problem(
            f"{' and '.join(stray)}: no container is asked for", "add --container nvidia, hygon or ascend"
        )
    if plan.container is not None and image_of(plan) is None:
        yield Problem(
            f"no image of {plan.engine} for {plan.container} devices is known here",
            "name it: --image NAME:TAG",
        )
    if plan.container is not None and plan.accelerator not in (None, plan.container):
        yield Problem(
            f"--accelerator {plan.accelerator} in a container for {plan.container}", "drop --accelerator"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
