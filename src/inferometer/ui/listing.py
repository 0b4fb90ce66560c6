"""Which runs of the store a list shows, in which order, and which page of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from inferometer.ui.store import StoredRun

PAGE_ROWS: Final = 50
_LONGEST = 200  # of what is looked for

_KEYS: Final[dict[str, Callable[[StoredRun], str | float | None]]] = {
    "created": lambda run: run.created_utc,
    "name": lambda run: run.name,
    "model": lambda run: run.model.lower(),
    "label": lambda run: run.label.lower(),
    "verdict": lambda run: run.verdict,
    "throughput": lambda run: run.output_throughput_per_s,
    "ttft": lambda run: run.ttft_ms,
    "tpot": lambda run: run.tpot_ms,
    "requests": lambda run: run.requests,
    "failed": lambda run: run.failed,
}
ORDERS: Final = tuple(_KEYS)


class Query(NamedTuple):
    """What is looked for; empty = all.

    Attributes:
        text: all of its words, anywhere in name, model, label, labels, load or tool.
        label: the label, or one of ``key=value``, or a key.
        verdict: VALID, WARN, INVALID, or "none".
        model: exactly.
        since, until: dates, ``2026-11-22``, both included.
        kind: "measured", "simulated", "imported" or "open".
        sort: one of ``ORDERS``.
        up: smallest first.
        page: from 1 on.
    """

    text: str = ""
    label: str = ""
    verdict: str = ""
    model: str = ""
    since: str = ""
    until: str = ""
    kind: str = ""
    sort: str = "created"
    up: bool = False
    page: int = 1

    def to(self, **changes: object) -> str:
        """The address of the same question with ``changes``."""
        values = {**self._asdict(), **changes}
        given = {name: value for name, value in values.items() if value != Query._field_defaults[name]}
        return "?" + urlencode({name: "1" if value is True else value for name, value in given.items()})


class Listing(NamedTuple):
    """One page of a list.

    Attributes:
        runs: of this page.
        found: runs that fit, on all pages.
        page, pages: which of how many.
        models: all that the store has, for a choice.
    """

    runs: Sequence[StoredRun]
    found: int
    page: int
    pages: int
    models: Sequence[str]


def query_of(given: Mapping[str, str]) -> Query:
    """What an address asks for; what cannot be understood counts as not said."""
    texts = {name: given.get(name, "")[:_LONGEST].strip() for name in Query._fields[:7]}
    page = given.get("page", "")
    return Query(
        **texts,
        sort=given["sort"] if given.get("sort") in ORDERS else "created",
        up=given.get("up") == "1",
        page=int(page) if page.isdecimal() and 0 < len(page) < 7 else 1,
    )


def listing(runs: Sequence[StoredRun], query: Query) -> Listing:
    """The page that ``query`` asks for; runs without the value that is sorted by come last."""
    key = _KEYS[query.sort]
    fitting = [run for run in runs if _fits(run, query)]
    have = sorted((run for run in fitting if key(run) not in (None, "")), key=key, reverse=not query.up)  # type: ignore[arg-type]
    ordered = have + [run for run in fitting if key(run) in (None, "")]
    pages = max(1, math.ceil(len(ordered) / PAGE_ROWS))
    page = min(max(query.page, 1), pages)
    models = sorted({run.model for run in runs if run.model})
    return Listing(ordered[(page - 1) * PAGE_ROWS : page * PAGE_ROWS], len(ordered), page, pages, models)


def _fits(run: StoredRun, query: Query) -> bool:
    if query.model and run.model != query.model:
        return False
    if query.verdict and (run.verdict or "none") != query.verdict:
        return False
    day = run.created_utc[:10]
    if (query.since and day < query.since) or (query.until and day > query.until):
        return False
    return _of_kind(run, query.kind) and _has_label(run, query.label) and _has_words(run, query.text)


def _of_kind(run: StoredRun, kind: str) -> bool:
    kinds = {
        "simulated": run.simulated,
        "imported": bool(run.tool),
        "measured": not run.simulated and not run.tool,
        "open": run.state == "open",
    }
    return kinds.get(kind, True)


def _has_label(run: StoredRun, label: str) -> bool:
    pairs = {f"{key}={value}" for key, value in run.labels.items()}
    return not label or label in {run.label, *run.labels, *pairs}


def _has_words(run: StoredRun, text: str) -> bool:
    pairs = (f"{key}={value}" for key, value in run.labels.items())
    everything = " ".join([run.name, run.model, run.label, run.load, run.tool, *pairs]).lower()
    return all(word in everything for word in text.lower().split())
