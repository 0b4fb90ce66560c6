"""Rules of how load points follow one another."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.spec.data import TRACES
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem


def sweep_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself in repeats, epochs and warm-ups."""
    sweep, load = spec.sweep, spec.load
    if sweep.epochs is not None and load.num_prompts is not None:
        yield Problem(
            f"--epochs {sweep.epochs} and --num-prompts {' '.join(map(str, load.num_prompts))} both set the "
            "number of requests",
            "keep one of them",
        )
    replayed = spec.workload.dataset in TRACES and load.max_concurrency is None
    if sweep.epochs is not None and load.max_concurrency is None and (load.request_rate or replayed):
        yield Problem(
            f"--epochs {sweep.epochs} counts turns of a closed loop, and no --max-concurrency is given",
            "give --max-concurrency N, or --num-prompts N in place of --epochs",
        )
    if sweep.warmup_each and load.warmup == 0:
        yield Problem(
            "--warmup-each and --warmup 0 contradict each other", "give --warmup N, or drop one of them"
        )
