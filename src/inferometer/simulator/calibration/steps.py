"""Coefficients from an engine's own step records: the batch table of ms_service_profiler, or any with its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.record.steps import STEP, StepRow, read_steps
from inferometer.simulator.calibration.fit import NAMES, Fit, Floats, Prior, coefficients_of, fit
from inferometer.simulator.calibration.requests import SPREAD
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import Coefficients

_NOISE: Final = 0.05
_LEAST_NOISE: Final = 0.001
_OF_REQUESTS: Final = frozenset({"arrival_s", "first_token_s", "comm_token_s"})


class Record(msgspec.Struct, frozen=True):
    """One step of an engine, and how long it took."""

    shape: StepShape
    step_s: float


class StepErrors(msgspec.Struct, frozen=True):
    """Relative errors of predictions of steps that the fit did not see."""

    steps: int
    mean_absolute: float
    median_absolute: float
    bias: float


def read_batches(path: Path, block_tokens: int, name: str = STEP) -> list[Record]:
    """Steps from a ``batch.csv``.

    What the simulated server writes says of every sequence how much of it was computed before. Where the table does not
    (``record.steps``), decodes are taken to hold their share of the used blocks, and the prompts of a step to be of one
    length and begun in it.

    Args:
        path: of the table.
        block_tokens: tokens of a KV block.
        name: of the rows that time the model.

    Raises:
        UsageError: a missing column, a value that is no number, or no row of that name.
    """
    found = [Record(_shape(row, block_tokens), row.step_s) for row in read_steps(path, name)]
    if not found:
        raise UsageError(f"step records {path} have no step named {name} that took time and had tokens")
    return found


def _shape(row: StepRow, block_tokens: int) -> StepShape:
    sequences = row.prefills + row.decodes
    known = _computed_before(row)
    if known is None:
        context = round(row.used_blocks * block_tokens * row.decodes / sequences)
        work = row.prefill_tokens**2 / row.prefills / 2 if row.prefills else 0.0
    else:
        context, work = known
    return StepShape(
        tokens=row.prefill_tokens + row.decode_tokens,
        sequences=sequences,
        decode_kv_tokens=context,
        prefill_work=work,
        prefill_tokens=row.prefill_tokens,
        decodes=row.decodes,
    )


def _computed_before(row: StepRow) -> tuple[int, float] | None:
    """Context of all decodes, and query-key pairs of all prompts; None where they are not known of every sequence."""
    parts = row.parts or ()
    if any(part.context is None for part in parts):
        return None
    decodes = [part.context or 0 for part in parts if part.chunk is None]
    chunks = [(part.chunk, part.context or 0) for part in parts if part.chunk is not None]
    if (len(decodes), len(chunks)) != (row.decodes, row.prefills):
        return None
    if sum(chunk for chunk, _ in chunks) != row.prefill_tokens:  # padded, as static batches are
        return None
    return sum(decodes), sum(chunk * (before + chunk / 2) for chunk, before in chunks)


def weak_step_prior(records: Sequence[Record]) -> Prior:
    """A prior of the right order of magnitude from the records themselves; of requests they tell nothing."""
    step = float(np.median([record.step_s for record in records]))
    most = max(record.shape.tokens for record in records)
    typical = max(1.0, float(np.median([record.shape.sequences for record in records])))
    context = max(1.0, float(np.median([record.shape.decode_kv_tokens for record in records])))
    work = max(1.0, *(record.shape.prefill_work for record in records))
    longest = max(record.step_s for record in records)
    center = Coefficients(
        weights_s=step / 2,
        token_s=longest / most / 2,
        step_s=step / 4,
        sequence_s=step / 8 / typical,
        kv_token_s=step / 8 / context,
        attention_s=longest / 10 / work,
        prompt_step_s=step / 8,
    )
    spread = tuple(0.0 if name in _OF_REQUESTS else getattr(SPREAD, name) for name in NAMES)
    return Prior(center, spread)


def step_seconds(shapes: NDArray[np.float64], cost: Coefficients) -> Floats:
    """Seconds of many steps; columns as in ``StepShape``."""
    tokens, sequences, context, work, prompts, _ = shapes.T
    found: Floats = (
        np.maximum(cost.weights_s, cost.token_s * tokens)
        + cost.comm_token_s * tokens
        + cost.step_s
        + cost.prompt_step_s * (prompts > 0)
        + cost.sequence_s * sequences
        + cost.kv_token_s * context
        + cost.attention_s * work
    )
    return found


def fit_steps(records: Sequence[Record], prior: Prior | None = None) -> Fit:
    """Coefficients of steps from step records, by relative errors.

    A second fit takes the noise that the first one left (its root mean square, at most 5 %), so that the prior weighs
    no more than it has to: what a simulated engine wrote has no noise at all.

    Args:
        records: of an engine.
        prior: of model and device; None = ``weak_step_prior``.

    Raises:
        UsageError: no record.
    """
    if not records:
        raise UsageError("a calibration needs at least one step record")
    believed = weak_step_prior(records) if prior is None else prior
    shapes = np.array([record.shape for record in records], dtype=np.float64)
    seconds = np.array([record.step_s for record in records])

    def within(noise: float, start: Floats | None = None) -> Fit:
        def residuals(logs: Floats) -> Floats:
            off: Floats = np.log(step_seconds(shapes, coefficients_of(logs)) / seconds) / noise
            return off

        return fit(residuals, believed.logs(), np.array(believed.spread), start=start)

    first = within(_NOISE)
    left = _NOISE * float(np.sqrt(np.mean(first.residuals**2)))
    return within(min(_NOISE, max(_LEAST_NOISE, left)), first.logs)


def held_out_errors(records: Sequence[Record], blocks: int = 10, every: int = 5) -> StepErrors:
    """Errors on blocks of time that a fit did not see: of ``blocks`` blocks every ``every``-th is left out.

    Raises:
        UsageError: fewer records than blocks.
    """
    if len(records) < blocks:
        raise UsageError(f"{len(records)} step records cannot be cut into {blocks} blocks of time")
    place = np.arange(len(records)) * blocks // len(records)
    out = place % every == every - 1
    found = fit_steps([record for record, left in zip(records, out, strict=True) if not left])
    told = [record for record, left in zip(records, out, strict=True) if left]
    shapes = np.array([record.shape for record in told], dtype=np.float64)
    off = step_seconds(shapes, found.coefficients) / [record.step_s for record in told] - 1
    return StepErrors(len(told), float(np.abs(off).mean()), float(np.median(np.abs(off))), float(off.mean()))
