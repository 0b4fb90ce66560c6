"""Measure: ``run`` and ``demo``, and what a finished run is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from inferometer.api.estimating import estimate
from inferometer.api.launched import Launched, as_the_engine_speaks
from inferometer.api.nodes import left_on_nodes, machines
from inferometer.api.preparing import prepare
from inferometer.api.stored import report_finished
from inferometer.checks.duration import Countdown
from inferometer.checks.limits import PortWatch, system_limits
from inferometer.errors import InferometerError, InterruptedEarlyError
from inferometer.loadgen.affinity import allowed_cores
from inferometer.loadgen.conduct import Conduct
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.resume import Past
from inferometer.loadgen.run import execute
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.summary import RunSummary
from inferometer.record.folder import read_meta, write_meta
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import (
    Endpoint,
    Launch,
    Load,
    Measure,
    Output,
    RunSpec,
    Sampling,
    Workload,
)

REAL_DEMO = "llamacpp tiny --max-num-seqs 8 --max-model-len 1024 --no-enable-prefix-caching"
# Each has what a p99 needs, and on a slow machine an end.
REAL_DEMO_LOAD = Load(max_concurrency=(1, 4, 8), num_prompts=(1000, 1000, 1000), duration_s=17.0)
_DEMO = "inferometer demo"
QUESTIONS = Path(__file__).parents[1] / "workload" / "data" / "questions.jsonl"
EXIT_SLO_NOT_MET = 3
EXIT_INVALID = 5
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that came to its end.

    Attributes:
        path: its folder.
        summary: every number with its verdict.
        exit_code: 0 ok, 3 SLO not met, 5 run INVALID, 130 interrupted with a valid partial run.
        page_fault: why ``report.html`` was not written although it was asked for; empty where it was.
    """

    path: Path
    summary: RunSummary
    exit_code: int
    page_fault: str = ""


def run(spec: RunSpec, observer: Observer | None = None, stop: StopSignal | None = None) -> RunResult:
    """Measure an endpoint; one that ``spec.launch`` starts is stopped at the end, whatever happens.

    Args:
        spec: what to do.
        observer: told how far it is.
        stop: asked for, it ends the run early with what was measured.

    Raises:
        InferometerError: something a person can act on; see ``inferometer.errors``.
    """
    return _run(spec, observer or NullObserver(), stop or StopSignal())


def _run(
    spec: RunSpec,
    observer: Observer,
    stop: StopSignal,
    on_ready: Callable[[str], None] = lambda url: None,
    again: str = "",
) -> RunResult:
    spec = as_the_engine_speaks(spec)
    with Launched(spec, observer, stop) as launched:
        plan = replace(prepare(spec, stop, launched), again=again)
        if stop.level:
            raise InterruptedEarlyError("interrupted before the first request was sent")
        on_ready(plan.spec.endpoint.url)
        folder = carried_out(plan, observer, stop)
    return judged(folder, stop)


def carried_out(
    plan: RunPlan,
    observer: Observer,
    stop: StopSignal,
    conduct: Conduct | None = None,
    past: Past | None = None,
) -> Path:
    """``execute`` a plan, and tell the observer what was known beforehand."""
    for text in plan.notes:
        observer.on_notice(text)
    countdown = Countdown(observer, estimate(plan.spec, plan.points).plan)
    ours = plan.points if plan.spec.cluster.nodes is None else ()  # whose connections come from this machine
    watch = PortWatch(countdown, ours, system_limits())
    with machines(plan, observer, stop) as fleet:
        workers = None if fleet is None else fleet.workers
        folder = execute(replace(plan, remote_workers=workers), watch, stop, conduct, past, fleet)
    _add_notes(folder, [*watch.warned, *left_on_nodes(fleet)])
    return folder


def judged(folder: Path, stop: StopSignal) -> RunResult:
    """The result of a run that has ended, its report written.

    Raises:
        InferometerError: the report cannot be made; what was measured is in the folder.
    """
    try:
        summary, fault = report_finished(folder)
    except InferometerError as error:
        error.run_folder = str(folder)
        raise
    return RunResult(folder, summary, _exit_code(summary, stop), fault)


def _add_notes(folder: Path, notes: Sequence[str]) -> None:
    """Keep in ``run.json`` what was told during the run."""
    if notes:
        meta = read_meta(folder)
        meta.notes.extend(notes)
        write_meta(folder, meta)


def demo(
    observer: Observer,
    out: str,
    on_ready: Callable[[str], None],
    stop: StopSignal | None = None,
    engine: Literal["sim", "llamacpp"] = "sim",
) -> RunResult:
    """Measure an engine with real questions, at concurrency 1 to 32 or 8; takes less than a minute.

    Args:
        observer: told how far it is.
        out: directory of run folders.
        on_ready: told the address of the server once it listens.
        stop: ends the run early.
        engine: the simulated one, or llama.cpp with a tiny random model that is made here.

    Raises:
        UsageError: the extra ``engine`` is not installed.
        EngineError: it does not start.
    """
    if engine == "llamacpp":
        again = f"{_DEMO} --engine llamacpp"
        return _run(_real_demo_spec(out), observer, stop or StopSignal(), on_ready, again)
    # Its questions are asked more than once, which a prefix cache would answer faster.
    # It takes 16 requests at once, so that the ladder has a knee, and loads beyond it.
    settings = SimSettings(
        answer_tokens_median=28, answer_tokens_sigma=0.5, prefix_cache=False, max_num_seqs=16
    )
    with start_simulated_server(settings) as server:
        return _run(_demo_spec(server.url, out), observer, stop or StopSignal(), on_ready, _DEMO)


def _demo_spec(url: str, out: str) -> RunSpec:
    return RunSpec(
        endpoint=Endpoint(url=url),
        # What the server can take at most has the 1,000 requests that a p99 needs; the others take some seconds each.
        load=Load(max_concurrency=(1, 2, 4, 8, 16, 32), num_prompts=(30, 60, 120, 240, 1000, 450)),
        workload=Workload(dataset="openqa", dataset_path=str(QUESTIONS), oversample=True),
        # Answers end by themselves: of equal length, all streams would end, and the next ones begin, in one step.
        sampling=Sampling(max_tokens=128),
        # Limits of single requests: these are told, and end no demo with the exit code of a limit that was missed.
        measure=Measure(slo=("ttft:200", "tpot:20")),
        output=Output(out=out, label=("demo",)),
    )


def _real_demo_spec(out: str) -> RunSpec:
    """The same questions for llama.cpp, with a core of its own where there are two, and as many slots as are used."""
    cores = allowed_cores()
    apart = str(cores[0]) if len(cores) > 1 else None
    return RunSpec(
        launch=Launch(command=REAL_DEMO, cores=apart),
        load=REAL_DEMO_LOAD,
        workload=Workload(dataset="openqa", dataset_path=str(QUESTIONS), oversample=True),
        # A random model hardly ever ends an answer by itself.
        sampling=Sampling(max_tokens=16),
        output=Output(out=out, label=("demo",)),
    )


def _exit_code(summary: RunSummary, stop: StopSignal) -> int:
    if stop.level:
        return EXIT_INTERRUPTED
    if summary.verdict.word == "INVALID":
        return EXIT_INVALID
    # A limit that cannot be judged must not pass for a limit that was met.
    missed = any(result.met is not True for point in summary.points for result in point.slo)
    return EXIT_SLO_NOT_MET if missed else 0
