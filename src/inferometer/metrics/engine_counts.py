"""What the engines counted during a load point: the readings after it less those before it, of all servers together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from inferometer.client.engine_counters import PREEMPTIONS, TOLD
from inferometer.client.exposition import name_and_labels
from inferometer.record.types import PointRecord, ServerCounters

_VLLM, _SGLANG = "vllm:spec_decode_", "sglang:spec_"
_PER_POSITION = "num_accepted_tokens_per_pos"
_CREATED = "_created"  # prometheus-client: when a counter began


class EngineCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over servers, engines and models; None where none of them counts it.

    Attributes:
        drafts: proposals of one or more tokens that the model checked; SGLang: verification calls.
        emitted: tokens that came out of those checks, where the drafts are counted but not the accepted tokens.
        per_position: accepted tokens by their place in the draft, 0 is the first.
        generated: all output tokens of the servers that count them.
        length_now: SGLang's gauge of accepted tokens per step and one more, its latest batch when the point had ended.
        rate_now: the same of the share of draft tokens.
        length_told: SGLang's mean since it was started.
    """

    drafts: int | None = None
    draft_tokens: int | None = None
    accepted_tokens: int | None = None
    emitted: int | None = None
    per_position: list[int] = []
    generated: int | None = None
    length_now: float | None = None
    rate_now: float | None = None
    length_told: float | None = None

    @property
    def speculates(self) -> bool:
        """Whether the engine speculates at all: SGLang has its gauges, at 0, without it too."""
        return self.draft_tokens is not None or any(
            (self.drafts, self.length_now, self.rate_now, self.length_told)
        )


class Unknown(NamedTuple):
    """Why there are readings but no counts."""

    reason: str
    next_step: str


def engine_counts(point: PointRecord) -> EngineCounts | Unknown | None:
    """The counts of one load point; None where no server has such counters."""
    counted = [each for each in point.counters_before if not all(map(_is_beside, each.values))]
    if not counted:
        return None
    after = {each.source: each for each in point.counters_after}
    lacking = [each.source for each in counted if each.source not in after]
    if lacking:
        return Unknown(
            f"{', '.join(lacking)} did not tell its counters after the load",
            "see why in the load point's notes in run.json",
        )
    pairs = [(before, after[before.source]) for before in counted]
    restarted = [before.source for before, now in pairs if _began_anew(before, now)]
    if restarted:
        return Unknown(
            f"the counters of {', '.join(restarted)} began anew during the load",
            "did the server restart? see its log, and measure again",
        )
    found = _summed(pairs)
    return found if found.speculates else None


def _began_anew(before: ServerCounters, after: ServerCounters) -> bool:
    """A counter that fell, is gone, or says that it was made at another time."""
    for series, value in before.values.items():
        name, _ = name_and_labels(series)
        now = after.values.get(series)
        if name.endswith(_CREATED) and now != value:
            return True
        if _is_counter(name) and (now is None or now < value):
            return True
    return False


def preemptions(point: PointRecord) -> int | None:
    """Requests that lost their KV blocks to others and were computed anew, of all servers, during a load point.

    None where no server counts them before and after it, or a counter fell, which a server does that was restarted.
    """
    after = {each.source: each.values for each in point.counters_after}
    pairs = [
        (value, after.get(each.source, {}).get(series))
        for each in point.counters_before
        for series, value in each.values.items()
        if series.startswith(PREEMPTIONS)
    ]
    grown = [now - value for value, now in pairs if now is not None and now >= value]
    return round(sum(grown)) if pairs and len(grown) == len(pairs) else None


def _is_beside(series: str) -> bool:
    """Whether it says nothing of drafts: how the engine was started, or what it took from whom."""
    return name_and_labels(series)[0].endswith("cache_config_info") or series.startswith(PREEMPTIONS)


def _is_counter(name: str) -> bool:
    return name.endswith("_total") or (name.startswith(f"{_VLLM}num_") and not name.endswith(_CREATED))


def _summed(pairs: Iterable[tuple[ServerCounters, ServerCounters]]) -> EngineCounts:
    grown: dict[str, float] = {}
    positions: dict[int, float] = {}
    gauges: dict[str, list[float]] = {}
    for before, after in pairs:
        for series, value in after.values.items():
            name, labels = name_and_labels(series)
            short = name.removesuffix("_total")
            if not _is_counter(name):
                if labels.get("engine_type") != "draft" and value > 0:  # the draft model's own
                    gauges.setdefault(name, []).append(value)
                continue
            growth = value - before.values.get(series, 0.0)  # a series that is new began at 0
            if short == f"{_VLLM}{_PER_POSITION}" and labels.get("position", "").isdigit():
                place = int(labels["position"])
                positions[place] = positions.get(place, 0.0) + growth
            else:
                grown[short] = grown.get(short, 0.0) + growth
    return _named(grown, positions, gauges)


def _named(
    grown: dict[str, float], positions: dict[int, float], gauges: dict[str, list[float]]
) -> EngineCounts:
    def count(*names: str) -> int | None:
        known = [grown[name] for name in names if name in grown]
        return round(sum(known)) if known else None

    def gauge(name: str) -> float | None:
        values = gauges.get(name)
        return sum(values) / len(values) if values else None

    verified, requests = count(f"{_SGLANG}verify_calls"), count("sglang:num_requests")
    sglang_tokens = count("sglang:generation_tokens")
    emitted = None  # the first token of each answer comes from the prompt
    if verified is not None and sglang_tokens is not None and requests is not None:
        emitted = sglang_tokens - requests
    drafts = count(f"{_VLLM}num_drafts")
    return EngineCounts(
        drafts=verified if drafts is None else drafts,
        draft_tokens=count(f"{_VLLM}num_draft_tokens"),
        accepted_tokens=count(f"{_VLLM}num_accepted_tokens"),
        emitted=emitted if drafts is None else None,
        per_position=[round(positions.get(place, 0.0)) for place in range(max(positions, default=-1) + 1)],
        generated=count("vllm:generation_tokens", "sglang:generation_tokens"),
        length_now=gauge(f"{_SGLANG}accept_length"),
        rate_now=gauge(f"{_SGLANG}accept_rate"),
        length_told=gauge(TOLD),
    )
