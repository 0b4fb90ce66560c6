"""Conditions on the answers: all recorded, few failed, streamed, of the asked length, from a cold cache.

Each is a function from the evidence of one load point to a ``Condition``, or to None when it does not apply.
"""

from __future__ import annotations

import numpy as np

from inferometer.metrics.evidence import Evidence
from inferometer.metrics.prefix import cached_share, expected_share
from inferometer.metrics.steady import DRIFT_LIMIT, steady_of
from inferometer.metrics.verdict import Condition

SHOWN = ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")
_LENGTH_TOLERANCE = 0.01
_STREAMED_SHARE = 0.99
_CACHED_SHARE = 0.01
_COALESCED_SHARE = 0.05
_CUT_OFF_SHARE = 0.01
_WHY_RECORDS_LACK = {
    "data": "the data set ended: ask for fewer --num-prompts, or use rows again with --oversample",
    "disk": "the disk was full: make room and measure again",
    "unreachable": "the server was gone for 5 s, so the load point was ended: see the server's log",
    "lost": "a worker ended before its time: see the notes in run.json and measure again",
}


def all_recorded(e: Evidence) -> Condition:
    """There is one record per planned request; what only time was to end came to its time."""
    point = e.table.point
    why = _WHY_RECORDS_LACK.get(point.stop_reason or "")
    early = point.planned_requests is None and why is not None
    return Condition(
        name="records",
        level="hard",
        asked="requests until the time is up" if early else "one record per planned request",
        measured=e.counts.records,
        limit=None if early else e.counts.planned,
        unit="requests",
        ok=e.counts.records == e.counts.planned and not early,
        next_step=why or "see the notes in run.json",
    )


def few_errors(e: Evidence) -> Condition:
    """The share of failed requests stays below the limit."""
    share, limit = e.counts.failed_share, e.measure.error_limit
    if share is None:
        step = "no request ended: see whether the endpoint answers a single request"
        return Condition(
            name="errors",
            level="hard",
            asked="failed share",
            measured=None,
            limit=limit,
            unit="share",
            ok=False,
            next_step=step,
        )
    first = f" ({e.counts.errors[0].example or e.counts.errors[0].status})" if e.counts.errors else ""
    return Condition(
        name="errors",
        level="hard",
        asked="failed share",
        measured=share,
        limit=limit,
        unit="share",
        ok=share <= limit and e.counts.ok > 0,
        next_step=f"find the cause of the most frequent error{first}, or lower the load",
    )


def not_cut_off(e: Evidence) -> Condition | None:
    """Few requests were still in flight when the point was stopped; long ones are missing from latencies."""
    if not e.counts.cut_off:
        return None
    return _share(
        "cut off",
        e.counts.cut_off / e.counts.records,
        _CUT_OFF_SHARE,
        "",
        "long answers are missing from the latencies: give a longer --duration"
        + (", or --drain finish" if e.table.point.load.get("drain") == "cut" else ", or --grace"),
    )


def really_streamed(e: Evidence) -> Condition | None:
    """Answers came as a stream when a streaming metric is shown; one chunk for a whole answer is no stream."""
    if not e.sampling.stream or not e.counts.ok:
        return None
    data = e.data
    chunks = np.bincount(data.output_chunks.row, minlength=e.counts.ok)
    in_one = (chunks == 1) & (data.output_tokens > data.first_chunk_tokens)
    share = float((data.streamed & ~in_one).mean())
    return Condition(
        name="streamed",
        level="hard",
        asked="share of answers that came as a stream",
        measured=share,
        limit=_STREAMED_SHARE,
        unit="share",
        ok=share >= _STREAMED_SHARE,
        next_step="TTFT, TPOT and ITL are not measurable when an answer comes in one piece: "
        "see whether server or proxy buffers, or measure with --no-stream",
    )


def length_as_asked(e: Evidence) -> Condition | None:
    """Answers have their target length where it was fixed; an estimate of their length proves nothing."""
    if not e.fixed_length or not e.counts.ok:
        return None
    exact = bool(e.table.point.dataset.get("tokenizer_exact"))
    target = e.data.column("output_tokens_target")
    got = e.data.output_tokens if exact else e.data.column("output_tokens_server")
    known = ~np.isnan(target) & ~np.isnan(got)
    measured = None
    if known.all():
        measured = float(np.abs(got - target).sum() / target.sum())
    return Condition(
        name="output length",
        level="hard",
        asked="mean deviation from the fixed length",
        measured=measured,
        limit=_LENGTH_TOLERANCE,
        unit="share",
        ok=None if measured is None else measured <= _LENGTH_TOLERANCE,
        next_step="tokens of an answer or its target are not known: give --tokenizer"
        if measured is None
        else "see whether the server honours ignore_eos and its context is long enough",
    )


def enough_samples(e: Evidence) -> Condition | None:
    """Every shown percentile has the samples that it takes."""
    shown = [e.stats[key] for key in SHOWN if key in e.stats]
    needs = [needed for stat in shown for needed in stat.needs.values()]
    if not shown:
        return None
    fewest, most = min(stat.count for stat in shown), max(needs, default=0)
    return Condition(
        name="samples",
        level="warn",
        asked="ten values beyond each shown percentile",
        measured=fewest,
        limit=most or None,
        unit="values",
        ok=not needs,
        next_step=f"--num-prompts {most}, or ask for lower --percentiles",
    )


def steady(e: Evidence) -> Condition | None:
    """There is a time in which the load was held, and the throughput kept its level over it."""
    if not e.counts.ok:
        return None
    found = steady_of(e.data)
    looked_for = e.data.steady_window != "off"
    step = f"{found.reason}; {found.next_step}" if found.next_step else found.reason
    change = abs(found.drift.change) if found.drift is not None and found.drift.certain else None
    if found.drifts:
        step = "see what changes at the server over time (caches that fill, clocks that fall), or measure for longer"
    return Condition(
        name="steady window",
        level="warn",
        asked="a time of held load without drift" if change is None else "drift of the throughput inside",
        measured=change,
        limit=None if change is None else DRIFT_LIMIT,
        unit="share",
        ok=found.window is not None and not found.drifts if looked_for else None,
        next_step=step,
    )


def cold_cache(e: Evidence) -> Condition | None:
    """The server took no more from its prefix cache than the data set's own prefixes give it."""
    if not e.counts.ok:
        return None
    meant = expected_share(e.data) or 0.0
    return _share(
        "cached prompt tokens",
        cached_share(e.data, first_turns=True),
        meant + _CACHED_SHARE,
        "the server does not report cached tokens",
        "empty the server's prefix cache before the run: it knew prompts of an earlier one"
        if meant
        else "use prompts that share no prefix, or turn the server's prefix cache off",
    )


def reads_apart(e: Evidence) -> Condition | None:
    """Output chunks came one by one, not several in one socket read."""
    chunks = e.data.output_chunks
    if not len(chunks.row):
        return None
    same = (np.diff(chunks.row) == 0) & (np.diff(chunks.read) == 0)
    shares_read = np.zeros(len(chunks.row), dtype=bool)
    shares_read[1:] |= same
    shares_read[:-1] |= same
    return _share(
        "coalesced chunks",
        float(shares_read.mean()),
        _COALESCED_SHARE,
        "",
        "server, proxy or network joins chunks: read ITL as the gap between deliveries, not tokens",
    )


def usage_reported(e: Evidence) -> Condition | None:
    """The server reported the tokens of every answer."""
    if not e.counts.ok:
        return None
    missing = float(np.isnan(e.data.column("output_tokens_server")).mean())
    return _share(
        "usage missing",
        missing,
        0.0,
        "",
        "token counts are the client's, or absent: have the server report usage, or give --tokenizer",
    )


def finished_as_asked(e: Evidence) -> Condition | None:
    """Answers ended for the asked reason: their length when it was fixed, else length or stop."""
    reasons = e.table.text("finish_reason")[e.data.ok]
    given = np.asarray([reason is not None for reason in reasons], dtype=bool)
    if not len(reasons):
        return None
    asked = ("length",) if e.fixed_length else ("length", "stop")
    other = float((~np.isin(reasons[given].astype(str), asked)).mean()) if given.any() else None
    return _share(
        "other finish reasons",
        other,
        0.0,
        "the server gives no finish reason",
        f"answers should end by {' or '.join(asked)}: see finish_reason in requests.parquet",
    )


def prompts_fresh(e: Evidence) -> Condition:
    """No prompt was sent twice, or the server's own count shows that its cache did not answer for it."""
    repeated = e.table.point.repeated_prompts
    cached = cached_share(e.data, first_turns=True)
    return Condition(
        name="repeated prompts",
        level="warn",
        asked="each prompt once, or none from a cache",
        measured=repeated,
        limit=0,
        unit="requests",
        ok=repeated == 0 or (cached is not None and cached <= _CACHED_SHARE),
        next_step="--same-prompts repeats them on purpose: empty the cache before each load point with --flush-cache"
        if e.table.point.dataset.get("same_prompts")
        else "use a larger data set or fewer --num-prompts; repeats are served from caches",
    )


def _share(name: str, measured: float | None, limit: float, unknown: str, next_step: str) -> Condition:
    """A warning when a share exceeds its limit; ``unknown`` says why a share of None is not known."""
    return Condition(
        name=name,
        level="warn",
        asked="share",
        measured=measured,
        limit=limit,
        unit="share",
        ok=None if measured is None else measured <= limit,
        next_step=unknown if measured is None else next_step,
    )
