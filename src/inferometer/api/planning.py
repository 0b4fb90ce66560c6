"""Plans of engines over several nodes: rendered, written, carried out on this host; their ranks woken."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import MonotonicClock
from inferometer.engines.flags import flag_names
from inferometer.engines.nodes import execute
from inferometer.engines.nodes.plan import NodePlan
from inferometer.engines.nodes.processes import extra_words, front_url, processes, rank_urls
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

_PATIENCE_S = 3.0  # what a script takes to see that a rank has ended, and to end


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that runs, with all its ranks ready.

    Attributes:
        urls: to put load on: the one in front of all ranks, or each rank.
        ranks: every rank's own.
        watch: until a stop is asked; raises EngineError when a process ends by itself, as
        check: after a failure of a load, if one has ended within seconds of it.
    """

    urls: tuple[str, ...]
    ranks: tuple[str, ...]
    watch: Callable[[], None]
    check: Callable[[], None]


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
            watch=lambda: execute.watch(runs, stop),
            check=lambda: execute.check_alive(runs, _PATIENCE_S),
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
    # DP attention splits the heads over the devices of a group only: of SGLang, and of LMDeploy.
    dp = plan.dp or 1
    tensor = {"sglang": plan.tp // dp, "lmdeploy": plan.world // dp}.get(plan.engine, plan.tp)
    asked = ModelAsked(
        tensor_parallel=tensor,
        pipeline_parallel=plan.pp,
        data_parallel=plan.dp,
        expert_parallel=plan.ep is not None,
        flags=flag_names(extra_words(plan)),
    )
    raise_problems(
        Problem(refusal.message, refusal.next_step) for refusal in refusals(config, asked, plan.engine)
    )


def _key(environ: Mapping[str, str]) -> dict[str, str]:
    return {"api_key": key} if (key := environ.get("OPENAI_API_KEY")) else {}
