"""What is to be served over several nodes: one frozen model for flags, YAML and JSON Schema."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from inferometer.spec.fields import as_list, option
from inferometer.spec.kinds import Part, PositiveInt, Seconds, Share, Texts

EngineName = Literal["lmdeploy", "vllm", "sglang", "sim", "command"]
Form = Literal["auto", "ray", "ranks", "torchrun", "native"]
Vendor = Literal["nvidia", "hygon", "ascend"]
Port = Annotated[int, Field(ge=1, le=65535)]

DEFAULT_PORTS: dict[EngineName, int] = {
    "lmdeploy": 23333,
    "vllm": 8000,
    "sglang": 30000,
    "sim": 23333,
    "command": 23333,
}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def _as_host(name: str) -> str:
    """A host name or an IP address; the address of a URL, nothing else."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST.fullmatch(name):
            raise ValueError(f"{name!r} is neither a host name nor an IP address") from None
    return name


Host = Annotated[str, AfterValidator(_as_host)]


def _some(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("no node is named")
    return names


Hosts = Annotated[tuple[Host, ...], AfterValidator(_some), BeforeValidator(as_list)]


class NodePlan(Part):
    """An engine over several nodes.

    The first node is the head: the others connect to it, and it must be the address that they reach it at.
    """

    engine: EngineName = option(
        "lmdeploy", "lmdeploy, vllm, sglang, sim (simulated), or command", metavar="NAME"
    )
    model: str = option("", "directory, or name on a hub", metavar="MODEL")
    nodes: Hosts = option(("127.0.0.1",), "addresses of the nodes, the head first: n0,n1", metavar="HOST")
    devices_per_node: PositiveInt = option(8, "devices of each node", metavar="N")
    tp: PositiveInt = option(1, "tensor parallel size", metavar="N")
    pp: PositiveInt = option(1, "pipeline parallel size", metavar="N")
    dp: PositiveInt | None = option(None, "data parallel size: ranks with a copy each", metavar="N")
    ep: PositiveInt | None = option(None, "expert parallel size", metavar="N")
    form: Form = option(
        "auto",
        "ray = a Ray cluster; ranks = a launcher per node that starts its ranks; torchrun = the same by torchrun; "
        "native = the engine's own way over nodes; auto = as the engine documents it",
        metavar="FORM",
    )
    port: Port | None = option(
        None, "of the server, or of rank 0 (default: the engine's own)", metavar="PORT"
    )
    port_step: PositiveInt = option(10, "from the port of one rank to that of the next", metavar="N")
    proxy_port: Port | None = option(
        None, "port of LMDeploy's proxy on the head, in front of the ranks", metavar="PORT"
    )
    routing_strategy: Literal["random", "min_expected_latency", "min_observed_latency"] = option(
        "min_expected_latency", "how that proxy chooses a rank", metavar="NAME"
    )
    ray_port: Port = option(6379, "port of the Ray head", metavar="PORT")
    master_port: Port | None = option(
        None, "port at which ranks meet (torchrun 29500, vLLM's RPC 29550, SGLang 5000)", metavar="PORT"
    )
    dp_master_port: Port = option(29555, "port at which LMDeploy's DP ranks meet", metavar="PORT")
    memory_share: Share | None = option(
        None, "share of a device's memory for the engine (LMDeploy: for its cache)", metavar="SHARE"
    )
    max_prefill_tokens: PositiveInt | None = option(
        None, "most prompt tokens in a step (LMDeploy --max-prefill-token-num)", metavar="N"
    )
    accelerator: Vendor | None = option(
        None,
        "whose devices: nvidia, hygon or ascend (default: of --container, else nvidia)",
        metavar="VENDOR",
    )
    container: Vendor | None = option(
        None, "render the container of each node, for devices of this vendor", metavar="VENDOR"
    )
    image: str | None = option(None, "image of that container (default: the engine's own)", metavar="IMAGE")
    container_name: str | None = option(None, "its name (default: the engine's)", metavar="NAME")
    hf_home: str | None = option(
        None,
        "directory of the hub's files on each node (default: $HF_HOME, ~/.cache/huggingface)",
        metavar="DIR",
    )
    mount: Texts = option((), "further directory of the container, HOST:CONTAINER", metavar="DIRS")
    env: Texts = option((), "environment variable of every process", metavar="NAME=VALUE")
    extra: Texts = option((), "raw flags of the engine, put last; for command: its words", metavar="WORDS")
    ready_limit_s: Seconds = option(
        1800.0, "longest wait until every rank answers", flag="--ready-limit", metavar="TIME"
    )

    @property
    def head(self) -> str:
        """The node that the others connect to."""
        return self.nodes[0]

    @property
    def devices(self) -> int:
        """Devices of all nodes."""
        return len(self.nodes) * self.devices_per_node

    @property
    def chosen_form(self) -> Literal["ray", "ranks", "torchrun", "native"]:
        """The form, with ``auto`` decided: what the engine's own documents do for such a plan."""
        if self.form != "auto":
            return self.form
        if self.engine == "sglang" or (self.engine == "vllm" and self.dp is not None) or self.is_single:
            return "native"
        return "ray" if self.engine in ("vllm", "lmdeploy") and self.dp is None else "ranks"

    @property
    def is_single(self) -> bool:
        """Whether one server on one node does it: nothing has to be joined."""
        return len(self.nodes) == 1 and self.dp is None and self.engine in ("vllm", "lmdeploy", "sglang")

    @property
    def vendor(self) -> Vendor:
        """Whose devices are used."""
        return self.accelerator or self.container or "nvidia"

    @property
    def world(self) -> int:
        """Devices that the sizes take together, each as its engine counts them.

        SGLang's --tp is the size of the whole, of which --dp attention groups take shares. LMDeploy's is the size of
        its dense layers: its world is --ep, or without it --tp (``DistConfig`` in lmdeploy/pytorch/config.py).
        """
        if self.engine == "lmdeploy":
            return self.ep if self.ep is not None and self.ep > 1 else self.tp
        copies = 1 if self.engine == "sglang" else (self.dp or 1)
        return copies * self.tp * self.pp

    @property
    def ranks(self) -> int:
        """Servers with an address of their own."""
        if self.chosen_form not in ("ranks", "torchrun"):
            return 1
        return self.dp if self.dp is not None else self.devices // (self.tp * self.pp)

    @property
    def first_port(self) -> int:
        """Port of the server, or of rank 0."""
        return self.port if self.port is not None else DEFAULT_PORTS[self.engine]

    @property
    def meeting_port(self) -> int:
        """Port at which the processes of the nodes find each other."""
        if self.master_port is not None:
            return self.master_port
        return {"vllm": 29550, "sglang": 5000}.get(self.engine, 29500)

    def node_of(self, rank: int) -> int:
        """Number of the node that a rank runs on: ranks fill one node after the other."""
        return rank // (self.ranks // len(self.nodes) or 1)

    def rank_port(self, rank: int) -> int:
        """Port of a rank: the first one's, and a step more for each rank before it, on whichever node."""
        return self.first_port + rank * self.port_step

    def public(self) -> dict[str, Any]:
        """What differs from the defaults, as a YAML file holds it."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        return {"engine": self.engine, "model": self.model, "nodes": list(self.nodes), **plain}
