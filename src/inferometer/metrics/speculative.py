"""Speculative decoding of a load point: how much of what was drafted was accepted, from what tells it best.

Engine's counters first, then what answers report, then tokens per step of the stream. With n output tokens in m chunks
of one step each, k drafted tokens per step and s steps of the engine per chunk, the Ascend guide's scripts reckon

    plain  (n - 1) / ((m - 1) (k + 1) s)         share of the slots of a step that brought a token
    MTP    (n - 1 - (m - 1) s) / ((m - 1) k s)   share of the draft tokens that were accepted

and EvalScope L = (n - 1) / (m - 1), p = 1 - 1 / L. Where the first chunk tells its tokens, they stand in place of the 1
in n - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from inferometer.metrics.engine_counts import EngineCounts, Unknown, engine_counts
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.percentiles import Stat, stat

Formula = Callable[[Floats, Floats, float, float], Floats]
Source = Literal["engine counters", "engine gauges", "answers", "tokens per step"]

MADE_TEXT = ("random", "mooncake", "bailian", "burstgpt", "azure")
_SHOWN_PERCENTILES = (90.0, 99.0)
_ALL_ALIKE = 1.0 + 1e-9
_MORE_THAN_A_STEP = 1.001
_DRAFTLESS = 0.05  # share of steps without a draft that is told
_SEEN = 1.02  # accepted length from which on a stream of single tokens is no stream of steps


class Speculative(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the drafts of one load point; None where it is not.

    Attributes:
        source: where the acceptance comes from.
        acceptance_rate: accepted / drafted tokens.
        acceptance_length: tokens per checked draft, the model's own one included: 1 + accepted / drafts.
        drafts: how many were checked.
        per_position: share of the drafts whose token at this place was accepted, first place first.
        drafted_per_step: k, as told with --num-speculative-tokens, else draft tokens / drafts.
        tokens_per_step: per request, from the stream: (n - 1) / (m - 1).
        accept_rate: per request, from the stream: MTP formula.
        accept_rate_plain: the same by the plain formula.
        made_text: prompts were made up, not written: on them acceptance means nothing.
        unexplained: share of the tokens from drafts that our answers cannot hold; None = cannot be told.
        notes: what to know of the figures, one sentence each.
    """

    source: Source
    acceptance_rate: float | None = None
    acceptance_length: float | None = None
    drafts: int | None = None
    draft_tokens: int | None = None
    accepted_tokens: int | None = None
    per_position: list[float] = []
    drafted_per_step: float | None = None
    tokens_per_step: Stat | None = None
    accept_rate: Stat | None = None
    accept_rate_plain: Stat | None = None
    made_text: bool = False
    unexplained: float | None = None
    notes: list[str] = []


_KNOWN: WeakKeyDictionary[PointData, Speculative | None] = WeakKeyDictionary()


def speculative_of(data: PointData) -> Speculative | None:
    """The figures of a load point, computed once for each ``data``; None where nothing tells of speculation."""
    if data not in _KNOWN:
        _KNOWN[data] = _speculative(data)
    return _KNOWN[data]


def tokens_per_step(data: PointData) -> Floats:
    """(n - n_first) / (m - 1) per request, m = chunks with output; NaN where the stream does not show steps."""
    return _per_request(data, lambda tokens, steps, k, s: tokens / steps, needs_k=False)


def accept_rate(data: PointData) -> Floats:
    """Share of the draft tokens that were accepted, per request, by the MTP formula; NaN without k."""
    return _per_request(data, lambda tokens, steps, k, s: (tokens - steps * s) / (steps * k * s))


def accept_rate_plain(data: PointData) -> Floats:
    """Share of the slots of a step that brought a token, per request, by the plain formula; NaN without k."""
    return _per_request(data, lambda tokens, steps, k, s: tokens / (steps * (k + 1.0) * s))


def acceptance_rate(data: PointData) -> float | None:
    """Of the whole load point, from its best source."""
    found = speculative_of(data)
    return None if found is None else found.acceptance_rate


def acceptance_length(data: PointData) -> float | None:
    """Of the whole load point, from its best source."""
    found = speculative_of(data)
    return None if found is None else found.acceptance_length


def _speculative(data: PointData) -> Speculative | None:
    best = _from_the_best_source(data)
    if best is None:
        return None
    k = _drafted_per_step(data)
    hidden = _hides_steps(data, k)
    return msgspec.structs.replace(
        best,
        drafted_per_step=k,
        tokens_per_step=stat(tokens_per_step(data), _SHOWN_PERCENTILES),
        accept_rate=stat(accept_rate(data), _SHOWN_PERCENTILES),
        accept_rate_plain=stat(accept_rate_plain(data), _SHOWN_PERCENTILES),
        made_text=data.table.point.dataset.get("name") in MADE_TEXT,
        notes=[*best.notes, *_on_steps(data, best, hidden)],
    )


def _on_steps(data: PointData, found: Speculative, hidden: str | None) -> list[str]:
    """What to know of figures per step: there may be none, and an n-gram drafter has nothing for some steps."""
    if hidden:
        return [f"tokens per step cannot be told: {hidden}"]
    if found.source == "tokens per step" and found.acceptance_rate is not None:
        return ["from the stream alone a step without a draft counts as one of which nothing was accepted"]
    _, steps = _tokens_and_steps(data)
    taken = float(np.nansum(steps)) * data.table.point.scheduler_steps
    if not found.drafts or not taken or found.drafts >= (1.0 - _DRAFTLESS) * taken:
        return []
    return [
        f"{(1.0 - found.drafts / taken) * 100.0:.0f} % of the steps had no draft: figures per step and per request "
        "count them, those of the engine do not"
    ]


def _from_the_best_source(data: PointData) -> Speculative | None:
    counts = engine_counts(data.table.point)
    if isinstance(counts, EngineCounts):
        return _of_counts(counts, data)
    best = _of_answers(data) or _of_stream(data)
    if isinstance(counts, Unknown):
        best = best or Speculative(source="engine counters")
        return msgspec.structs.replace(best, notes=[*best.notes, f"{counts.reason}: {counts.next_step}"])
    return best


def _of_counts(counts: EngineCounts, data: PointData) -> Speculative:
    drafts, accepted, drafted = counts.drafts, counts.accepted_tokens, counts.draft_tokens
    counted = drafted is not None or counts.emitted is not None
    length, rate, notes = None, None, []
    if drafts and accepted is not None:
        length = 1.0 + accepted / drafts
    elif drafts and counts.emitted is not None:
        length = counts.emitted / drafts
    if drafted and accepted is not None:
        rate = accepted / drafted
    if drafted == 0:
        notes.append("the engine speculates, but drafted nothing")
    if length is None and counts.length_now is not None:
        length = counts.length_now
        notes.append("length and rate are the engine's own of its latest batch, not of the load point")
    elif rate is None and counts.rate_now is not None:
        notes.append("the rate is the engine's own of its latest batch, not of the load point")
    if length is None and counts.length_told is not None:
        length = counts.length_told
        notes.append(
            "the length is the engine's mean since its start (get_server_info), not of the load point"
        )
    return Speculative(
        source="engine counters" if counted else "engine gauges",
        acceptance_rate=counts.rate_now if rate is None else rate,
        acceptance_length=length,
        drafts=drafts,
        draft_tokens=drafted,
        accepted_tokens=accepted,
        per_position=[each / drafts for each in counts.per_position] if drafts else [],
        unexplained=_unexplained(counts, data),
        notes=notes,
    )


def _of_answers(data: PointData) -> Speculative | None:
    """From answers that say how many of their tokens came from drafts; a count of 0 everywhere says nothing."""
    accepted, tokens = data.column("accepted_draft_tokens"), data.output_tokens
    known = ~np.isnan(accepted) & ~np.isnan(tokens)
    total = float(accepted[known].sum())
    if not total:
        return None
    checks = float((tokens - 1.0 - accepted)[known].sum())  # each brings one token of the model's own
    k = data.table.point.speculative_tokens
    return Speculative(
        source="answers",
        acceptance_rate=total / (checks * k) if k and checks > 0 else None,
        acceptance_length=1.0 + total / checks if checks > 0 else None,
        accepted_tokens=round(total),
        notes=[] if known.all() else [f"{int((~known).sum())} answers do not report accepted tokens"],
    )


def _of_stream(data: PointData) -> Speculative | None:
    """From tokens per step, when it was told that the server speculates: chunks may hold several tokens without it."""
    if data.table.point.speculative_tokens is None:
        return None
    tokens, steps = _tokens_and_steps(data)
    told = ~np.isnan(tokens_per_step(data))
    if not told.any():
        return Speculative(source="tokens per step")
    s, k = data.table.point.scheduler_steps, data.table.point.speculative_tokens
    length = float(tokens[told].sum() / (steps[told].sum() * s))
    return Speculative(source="tokens per step", acceptance_length=length, acceptance_rate=(length - 1.0) / k)


def _tokens_and_steps(data: PointData) -> tuple[Floats, Floats]:
    """Tokens after the first chunk, and chunks after it, per request; NaN where there are none."""
    chunks = data.output_chunks
    carried = chunks.row[chunks.tokens != 0]  # a part of a character is no token
    steps = np.bincount(carried, minlength=len(data.output_tokens)) - 1.0
    tokens = data.output_tokens - data.first_chunk_tokens
    known = data.streamed & (steps > 0) & (tokens > 0)
    return np.where(known, tokens, np.nan), np.where(known, steps, np.nan)


def _drafted_per_step(data: PointData) -> float | None:
    point = data.table.point
    if point.speculative_tokens is not None:
        return float(point.speculative_tokens)
    counts = engine_counts(point)
    if isinstance(counts, EngineCounts) and counts.drafts and counts.draft_tokens:
        return counts.draft_tokens / counts.drafts
    return None


def _per_request(data: PointData, formula: Formula, *, needs_k: bool = True) -> Floats:
    tokens, steps = _tokens_and_steps(data)
    k, s = _drafted_per_step(data), data.table.point.scheduler_steps
    nothing = np.full(len(tokens), np.nan)
    if not _speculates(data) or (needs_k and k is None) or _hides_steps(data, k):
        return nothing
    return formula(tokens, steps, 1.0 if k is None else k, float(s))


def _speculates(data: PointData) -> bool:
    """Whether something else than chunks of several tokens says so: those may have other reasons."""
    point = data.table.point
    told = point.speculative_tokens is not None or engine_counts(point) is not None
    return told or bool(np.nansum(data.column("accepted_draft_tokens")))


def _mean_per_step(data: PointData) -> float | None:
    tokens, steps = _tokens_and_steps(data)
    total = float(np.nansum(steps))
    return float(np.nansum(tokens)) / total if total else None


def _hides_steps(data: PointData, k: float | None) -> str | None:
    """Why the chunks of this stream are not steps of the engine; None when they may be."""
    mean, s = _mean_per_step(data), data.table.point.scheduler_steps
    if mean is None:
        return None
    length = _counted_length(data)
    if mean <= _ALL_ALIKE and (k is not None if length is None else length > _SEEN):
        return (
            "each chunk holds one token: the server takes its steps apart, so the stream does not show them"
        )
    if k is not None and mean > (k + 1.0) * s * _MORE_THAN_A_STEP:
        most = (k + 1.0) * s
        return f"chunks hold {mean:.2f} tokens, more than the {most:g} of a step: the server or a proxy joins steps"
    return None


def _counted_length(data: PointData) -> float | None:
    """Tokens per check as the engine counted them."""
    counts = engine_counts(data.table.point)
    if not isinstance(counts, EngineCounts) or not counts.drafts or counts.accepted_tokens is None:
        return None
    return 1.0 + counts.accepted_tokens / counts.drafts


def _unexplained(counts: EngineCounts, data: PointData) -> float | None:
    """Share of the engine's tokens that our requests cannot have got; None when ours are not known.

    A check of a draft brings its accepted tokens and one more. An answer that fails or is given up counts with the
    length that it might have had, and each may end inside a step, whose rest is thrown away.
    """
    tried = ~np.isnan(data.table.number("sent_ns"))
    others = data.table.number("output_tokens_target")[tried & ~data.ok]
    ours = float(data.output_tokens.sum() + others.sum())
    if counts.drafts is None:
        return None
    if counts.accepted_tokens is not None:
        brought = counts.drafts + counts.accepted_tokens
    elif counts.emitted is not None:
        brought = counts.emitted
    else:
        return None
    spare = (counts.draft_tokens or 0) / counts.drafts if counts.drafts else 0.0
    bound = ours + spare * float(tried.sum())
    if np.isnan(bound) or not brought:
        return None
    return max(0.0, brought - bound) / brought
