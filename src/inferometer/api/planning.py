"""Plans of engines over several nodes: rendered, written, carried out on this host; their ranks woken."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import MonotonicClock
from inferometer.engines.nodes import execute
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import front_url, processes, rank_urls
from inferometer.engines.nodes.ranks import ranks_of
from inferometer.engines.nodes.reading import make_plan, read_plan
from inferometer.engines.nodes.rules import check_plan
from inferometer.engines.nodes.scripts import Rendered, render
from inferometer.engines.nodes.warmup import Asked, Woken, wake
from inferometer.loadgen.stop import StopSignal
from inferometer.models.asked import Asked as ModelAsked
from inferometer.models.config import read_model
from inferometer.models.refusals import refusals
from inferometer.spec.problems import Problem, raise_problems


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that runs, with all its ranks ready.

    Attributes:
        urls: to put load on: the one in front of all ranks, or each rank.
        ranks: every rank's own.
        nodes: nodes that serve, and
        devices: accelerators; None where the plan's engine has none.
        watch: until a stop is asked; raises EngineError when a process ends by itself.
    """

    urls: tuple[str, ...]
    ranks: tuple[str, ...]
    nodes: int
    devices: int | None
    watch: Callable[[], None]


def plan_nodes(values: Mapping[str, Any], file: Path | None = None) -> tuple[NodePlan, tuple[Rendered, ...]]:
    """A plan and its files, checked before anything is started.

    Args:
        values: fields of ``NodePlan`` by name; they win over those of the file.
        file: a plan file.

    Raises:
        UsageError: everything that cannot be carried out.
    """
    plan = make_plan({**(read_plan(file) if file is not None else {}), **values})
    check_plan(plan)
    _check_model(plan)
    return plan, render(plan)


def write_plan(files: Sequence[Rendered], folder: Path) -> None:
    """Write the files of a plan.

    Raises:
        UsageError: ``folder`` cannot be written, or holds files of another plan.
    """
    execute.write(files, folder)


@contextlib.contextmanager
def run_plan(
    plan: NodePlan, folder: Path, stop: StopSignal, tell: Callable[[str], None]
) -> Iterator[Service]:
    """Start what of a plan runs on this host, and wait until all its ranks are ready, wherever they are.

    Leaving the context stops what was started.

    Args:
        plan: whose files are in ``folder``.
        folder: where logs go, too.
        stop: asked once, the start is given up, or the watch ends.
        tell: told in one line each how far it is.

    Raises:
        UsageError: no node of the plan is this host, or a port is taken.
        EngineError: a process ended, or a rank did not answer in time.
        InterruptedEarlyError: ``stop`` was asked before all ranks were ready.
    """
    clock = MonotonicClock()
    ranks = ranks_of(rank_urls(plan), _key(os.environ), os.environ)
    execute.check_ports(processes(plan), execute.local_nodes(plan))
    with execute.started(plan, folder, clock, tell) as runs:
        execute.wait_ready(ranks, runs, plan.ready_limit_s, clock, stop, tell)
        yield Service(
            urls=service_urls(plan),
            ranks=rank_urls(plan),
            nodes=len(plan.nodes),
            devices=plan.devices if plan.engine not in ("sim", "command") else None,
            watch=lambda: execute.watch(runs, stop),
        )


def service_urls(plan: NodePlan) -> tuple[str, ...]:
    """Where load goes: the one address in front of all ranks, or each rank in turn."""
    front = front_url(plan)
    return (front,) if front is not None else rank_urls(plan)


def warm_up(
    urls: Sequence[str],
    asked: Asked,
    stop: StopSignal,
    tell: Callable[[Woken], None],
    credentials: Mapping[str, str] | None = None,
) -> list[Woken]:
    """Wake the ranks at ``urls``, numbered in their order.

    Args:
        urls: their addresses.
        asked: how they are asked.
        stop: asked once, it is given up.
        tell: told of each rank as it comes.
        credentials: fields of an endpoint that hold them; None = OPENAI_API_KEY, if it is set.

    Returns:
        What became of each, in their order, judged beside all others.

    Raises:
        UsageError: an address cannot be used.
        EndpointError: a name cannot be resolved.
        InterruptedEarlyError: ``stop`` was asked.
    """
    ranks = ranks_of(urls, _key(os.environ) if credentials is None else credentials, os.environ)
    return wake(ranks, asked, MonotonicClock(), stop, tell)


def plan_urls(file: Path) -> tuple[str, ...]:
    """The addresses of all ranks of a plan file.

    Raises:
        UsageError: it cannot be read or carried out.
    """
    plan, _ = plan_nodes({}, file)
    return rank_urls(plan)


def _check_model(plan: NodePlan) -> None:
    """What the model's files rule out, where they are at hand: they may be on the nodes alone."""
    config = read_model(Path(plan.model)) if plan.model else None
    if config is None or plan.engine in ("sim", "command"):
        return
    # SGLang's DP attention splits the heads over tp / dp ranks only.
    tensor = plan.tp // plan.dp if plan.engine == "sglang" and plan.dp else plan.tp
    asked = ModelAsked(
        tensor_parallel=tensor,
        pipeline_parallel=plan.pp,
        data_parallel=plan.dp,
        expert_parallel=plan.ep is not None,
    )
    raise_problems(
        Problem(refusal.message, refusal.next_step) for refusal in refusals(config, asked, plan.engine)
    )


def _key(environ: Mapping[str, str]) -> dict[str, str]:
    return {"api_key": key} if (key := environ.get("OPENAI_API_KEY")) else {}
