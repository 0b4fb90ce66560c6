"""Step records of an engine, and the prior that they alone give: a batch table as ms_service_profiler writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.record.steps import STEP, StepRow, read_steps
from inferometer.simulator.calibration.fit import NAMES, Floats, Prior
from inferometer.simulator.calibration.requests import SPREAD
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.model import Coefficients

_OF_REQUESTS: Final = frozenset({"arrival_s", "first_token_s", "comm_token_s"})


class Record(msgspec.Struct, frozen=True):
    """One step of an engine, and how long it took."""

    shape: StepShape
    step_s: float


class Batches(NamedTuple):
    """What a batch table says: its steps, and the blocks of the KV pool: the fewest, if ranks differ; None = unsaid."""

    records: list[Record]
    kv_blocks: int | None


def read_batches(path: Path, block_tokens: int, name: str = STEP) -> Batches:
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
    records, pools = [], set()
    for row in read_steps(path, name):
        records.append(Record(_shape(row, block_tokens), row.step_s))
        pools.add(row.total_blocks or None)
    if not records:
        raise UsageError(f"step records {path} have no step named {name} that took time and had tokens")
    return Batches(records, min(filter(None, pools), default=None))


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
