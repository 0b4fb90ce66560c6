"""What a load point will ask of the generator, and how much of the envelope that is. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from inferometer.checks.envelope import DIMENSIONS, UNITS, Dimension, Envelope
from inferometer.spec import LoadPoint, RunSpec, load_title

ASSUMED_ITL_S = 0.02  # time per token of a server that nobody has measured yet
ASSUMED_OUTPUT_TOKENS = 256  # where the data set alone knows how long answers are
EVENTS_BESIDE_TOKENS = 3  # role, finish with usage, [DONE]
WARN_SHARE = 0.8


class Demand(NamedTuple):
    """One load point in the terms of an envelope; None where a dimension cannot be known beforehand.

    Attributes:
        title: the load point, as people write it.
        workers: processes that share it.
        streams: most requests in flight; None where the server's pace decides.
        events_per_s: SSE events a second.
        requests_per_s: requests a second.
        assumed: what was assumed for ``events_per_s``, in words; empty when nothing was.
    """

    title: str
    workers: int
    streams: float | None
    events_per_s: float | None
    requests_per_s: float | None
    assumed: str

    def figure(self, dimension: Dimension) -> float | None:
        """The demand in one dimension."""
        return {"events": self.events_per_s, "streams": self.streams, "requests": self.requests_per_s}[
            dimension
        ]


class Need(NamedTuple):
    """The dimension in which a demand comes closest to the envelope, or goes beyond it.

    Attributes:
        share: demand / limit.
        scaled: the limit was measured with another number of workers, and scaled.
        at_least: the limit was not found; so much was carried.
        spare_workers: more workers could carry more.
    """

    demand: Demand
    dimension: Dimension
    share: float
    asked: float
    limit: float
    scaled: bool
    at_least: bool
    spare_workers: bool

    @property
    def strain(self) -> float:
        """Above 1 it is to be warned of: near a limit that was found, or above what was carried without one."""
        return self.share / (1.0 if self.at_least else WARN_SHARE)


def demand(loads: Iterable[tuple[LoadPoint, int]], spec: RunSpec) -> list[Demand]:
    """What each load point asks of the generator; each comes with the number of workers that share it.

    Open loop: the rate, and for each request one event a token and three more; a limit on its concurrency is a
    cap, which says nothing of how many requests there will be. Closed loop, and all at once: the streams, and for
    each of them one event per assumed time of a token. Answers that are not streamed are one event each.
    """
    return [_of_point(point, workers, spec) for point, workers in loads]


def _of_point(point: LoadPoint, workers: int, spec: RunSpec) -> Demand:
    known = spec.sampling.max_tokens or point.output_len
    tokens = known or ASSUMED_OUTPUT_TOKENS
    length = "" if known else f"{ASSUMED_OUTPUT_TOKENS} tokens an answer"
    pace = f"{ASSUMED_ITL_S * 1e3:g} ms per token"
    title = load_title(point.to_dict())
    rate = point.peak_rate
    if rate is not None and math.isfinite(rate):
        rate *= _turns(point, spec)
        events = tokens + EVENTS_BESIDE_TOKENS if spec.sampling.stream else 1
        assumed = length if spec.sampling.stream else ""
        return Demand(title, workers, None, rate * events, rate, assumed)
    streams = most_streams(point)
    if streams is None:
        return Demand(title, workers, None, None, None, "")
    if spec.sampling.stream:
        return Demand(title, workers, streams, streams / ASSUMED_ITL_S, None, pace)
    assumed = " and ".join(text for text in (pace, length) if text)
    return Demand(title, workers, streams, streams / (tokens * ASSUMED_ITL_S), None, assumed)


def _turns(point: LoadPoint, spec: RunSpec) -> int:
    """Requests for each arrival: the turns of a session as far as they are known beforehand, else one."""
    return max(1, spec.sessions.turns) if spec.sessions.wanted and point.kind == "measure" else 1


def most_streams(point: LoadPoint) -> int | None:
    """How many requests may be in flight together; None when the server's pace decides (a finite rate, a trace).

    A closed loop will have them; of all requests at once, the first may have ended before the last is sent.
    """
    if point.trace or (point.request_rate is not None and math.isfinite(point.request_rate)):
        return None
    bounds = [bound for bound in (point.peak_concurrency, point.num_prompts) if bound is not None]
    return min(bounds, default=None)


def compare(envelope: Envelope, asked: Demand) -> Need | None:
    """The dimension that strains the envelope most; None when none can be compared.

    An envelope of another number of workers is scaled to the demand's, worker by worker, as far as there are cores
    for them, less the parent's. A limit that was not found with more workers than the demand has says nothing of
    what fewer carry.
    """
    return _worst(_need(envelope, asked, dimension) for dimension in DIMENSIONS)


def _need(envelope: Envelope, asked: Demand, dimension: Dimension) -> Need | None:
    figure, limit = asked.figure(dimension), envelope.figure(dimension)
    at_least = dimension in envelope.at_least
    if figure is None or not limit or (at_least and asked.workers < envelope.workers):
        return None
    usable = max(envelope.workers, envelope.machine.cores - 1)
    limit *= min(asked.workers, usable) / envelope.workers
    return Need(
        demand=asked,
        dimension=dimension,
        share=figure / limit,
        asked=figure,
        limit=limit,
        scaled=asked.workers != envelope.workers,
        at_least=at_least,
        spare_workers=asked.workers < usable,
    )


def largest(envelope: Envelope, demands: Iterable[Demand]) -> Need | None:
    """The load point that strains the envelope most; None when nothing can be compared."""
    return _worst(compare(envelope, asked) for asked in demands)


def _worst(needs: Iterable[Need | None]) -> Need | None:
    return max((need for need in needs if need is not None), key=lambda need: need.strain, default=None)


def describe_need(need: Need) -> str:
    """``needs 8 % of it: concurrency 512 makes 25,600 events/s at an assumed 20 ms per token, ...``."""
    if need.at_least and need.strain > 1:
        return f"goes beyond what was measured: {_facts(need)}"
    return f"needs {_share(need)} of it: {_facts(need)}"


def _share(need: Need) -> str:
    return f"{'at most ' if need.at_least else ''}{'about ' if need.scaled else ''}{percent(need.share)}"


def _facts(need: Need) -> str:
    assumed = ""
    if need.dimension == "events" and need.demand.assumed:
        assumed = f" at an assumed {need.demand.assumed}"
    unit = UNITS[need.dimension]
    limit = f"{'at least ' if need.at_least else ''}{'about ' if need.scaled else ''}{need.limit:,.0f}"
    workers = need.demand.workers
    count = f"{workers} worker{'s' if workers != 1 else ''}"
    return f"{need.demand.title} makes {need.asked:,.0f} {unit}{assumed}, and {count} can carry {limit}"


def warning(need: Need | None) -> str | None:
    """What to tell before a run starts; None when the plan leaves room."""
    if need is None or need.strain <= 1:
        return None
    if need.at_least:
        trouble = "this plan goes beyond what was measured of the generator on this machine"
    else:
        trouble = (
            f"this plan needs much of what the generator can carry on this machine, {_share(need)} of it"
        )
    step = "give more --workers, " if need.spare_workers else ""
    return f"{trouble}: {_facts(need)}; {step}lower the load, or measure from another machine"


def percent(share: float) -> str:
    """``8 %``, ``0.3 %``, ``140 %``."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:,.0f} %"
