"""A measured run request by request: how far a replay is from it, and what is believed before a fit."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.calibration.capacity import pool_blocks
from inferometer.simulator.calibration.fit import NAMES, Floats, Prior
from inferometer.simulator.calibration.replay import Load, Times
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients

_NOISE: Final = {"ttft": 0.03, "tpot": 0.02, "e2e": 0.02}
_PHASE: Final = 0.4
"""Where in a step a request arrives is not known to a part of a step: standard deviation in steps."""
_SEQUENCE_S: Final = 2e-5
SPREAD: Final = Coefficients(
    weights_s=1.5,
    token_s=1.5,
    step_s=1.5,
    sequence_s=2.0,
    kv_token_s=2.0,
    attention_s=2.0,
    arrival_s=1.0,
    first_token_s=1.0,
    prompt_step_s=1.5,
)


class RunTimes(msgspec.Struct, frozen=True):
    """A measured run: its load, and when each request had its tokens.

    Attributes:
        load: all requests that the engine had, also those whose times are not used.
        times: measured, on the load's axis; NaN where unknown.
    """

    load: Load
    times: Times


def weak_prior(run: RunTimes, used: NDArray[np.bool_]) -> Prior:
    """A prior of the right order of magnitude from the run itself, for when model and device are not known.

    Half of a decode step is reading weights, a quarter the host's part, and KV has an eighth; a sequence costs the
    host 20 us in any engine; a prompt token takes what the quickest prompts took per token. Spreads are factors of 4
    to 7.

    Raises:
        UsageError: no answer has two tokens.
    """
    tpot = _step_s(run, used)
    if tpot == 0.0:
        raise UsageError(
            "no request of the run has times of two output tokens, so the run does not show decoding",
            "calibrate from a run with longer answers",
        )
    prompts = run.load.inputs()
    quick = float(np.nanpercentile((run.times.ttft_s() / prompts)[used], 10))
    span = float(np.nanmax(run.times.last_s[used]) - np.nanmin(run.times.arrival_s[used]))
    sequences = max(1.0, float(np.nansum(run.times.e2e_s()[used])) / span)
    context = sequences * float((prompts + run.load.outputs() / 2)[used].mean())
    center = Coefficients(
        weights_s=tpot / 2,
        token_s=quick / 2,
        step_s=tpot / 4,
        sequence_s=_SEQUENCE_S,
        kv_token_s=tpot / 8 / context,
        attention_s=quick / 20 / float(prompts[used].mean()),
        arrival_s=1e-3,
        first_token_s=1e-3,
        prompt_step_s=tpot / 8,
    )
    return Prior(center, tuple(getattr(SPREAD, name) for name in NAMES))


def _step_s(run: RunTimes, used: NDArray[np.bool_]) -> float:
    """A typical decode step as clients see it; 0 where no answer has two tokens."""
    tpot = run.times.tpot_s(run.load.outputs())[used]
    known = tpot[np.isfinite(tpot)]
    return float(np.median(known)) if len(known) else 0.0


def log_ratios(run: RunTimes, found: Times, used: NDArray[np.bool_]) -> Floats:
    """Log ratios of replayed to measured TTFT, TPOT and E2E over their noise; NaN (unknown) becomes 0.

    Noise is a share of the value, and a part of a step beside it, which matters where a value is a few steps long.
    """
    outputs = run.load.outputs()
    phase_s = _PHASE * _step_s(run, used)
    each_s = phase_s / np.maximum(outputs - 1, 1)
    rows: list[Floats] = []
    for name, model, seen, part_s in (
        ("ttft", found.ttft_s(), run.times.ttft_s(), phase_s),
        ("tpot", found.tpot_s(outputs), run.times.tpot_s(outputs), each_s),
        ("e2e", found.e2e_s(), run.times.e2e_s(), phase_s),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios: Floats = np.log(model / seen) / np.hypot(_NOISE[name], part_s / seen)
        rows.append(ratios[used])
    logs: Floats = np.nan_to_num(np.concatenate(rows), nan=0.0, posinf=0.0, neginf=0.0)
    return logs


def with_pool(limits: EngineLimits, load: Load, tokens: float) -> EngineLimits:
    """Limits with a pool of so many tokens, which holds every request of the load at least."""
    longest = max(job.prompt_tokens + job.output_tokens for job in load.jobs)
    blocks = pool_blocks(tokens, limits.block_tokens, longest)
    most = min(limits.max_model_len, blocks * limits.block_tokens)
    return msgspec.structs.replace(limits, kv_blocks=blocks, max_model_len=max(most, longest))
