"""Rules of a search: one load is varied, all others are single values."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem, raise_problems

_VARIED = {
    "request-rate": "request_rate",
    "session-rate": "request_rate",
    "max-concurrency": "max_concurrency",
}


def settled(spec: RunSpec) -> RunSpec:
    """The same search with its target and the load that it varies said, so that both are stored."""
    target = spec.search.target or "slo"
    asked = spec.search.model_copy(update={"target": target})
    arrive = asked.variable is None and target == "slo" and spec.sessions.wanted
    variable = "session-rate" if arrive else asked.varied
    return spec.model_copy(update={"search": asked.model_copy(update={"variable": variable})})


def check_search(spec: RunSpec) -> None:
    """Refuse what a search cannot do; the rest of the spec is checked as for a run.

    Raises:
        UsageError: names every contradiction at once, each with a next step.
    """
    raise_problems(_problems(spec))


def _problems(spec: RunSpec) -> Iterator[Problem]:
    asked = spec.search
    varied = "max_concurrency" if asked.target == "max-batch" else _VARIED[asked.varied]
    for name in ("max_concurrency", "request_rate", "num_prompts"):
        values, flag = getattr(spec.load, name), "--" + name.replace("_", "-")
        if values and name == varied:
            yield Problem(
                f"{flag} {' '.join(f'{value:g}' for value in values)}: the search itself chooses this load",
                "give its bounds with --min and --max, or search for another load with --search",
            )
        elif values and len(values) > 1:
            yield Problem(
                f"{flag} has {len(values)} values, and a search varies one load only",
                f"give {flag} one value",
            )
    if spec.load.request_rate and varied == "max_concurrency":
        yield Problem(
            "--request-rate beside a search for concurrency: the rate would hold the load back",
            "leave it out, or search for the rate with --search request-rate",
        )
    for name in ("input_len", "output_len"):
        values, flag = getattr(spec.workload, name), "--" + name.replace("_", "-")
        if values and len(values) > 1 and asked.target != "max-batch":
            yield Problem(
                f"{flag} has {len(values)} values, and a search varies the load only",
                f"give {flag} one value",
            )
    if asked.varied == "session-rate" and not spec.sessions.wanted:
        yield Problem(
            "--search session-rate, but requests are not sessions", "give --turns N or --multi-turn"
        )
    if asked.varied == "request-rate" and spec.sessions.wanted and asked.target != "max-batch":
        yield Problem("--search request-rate, but what arrives are sessions", "write --search session-rate")
    yield from _bounds(spec)


def _bounds(spec: RunSpec) -> Iterator[Problem]:
    asked = spec.search
    if asked.lowest is not None and asked.highest is not None and asked.lowest > asked.highest:
        yield Problem(f"--min {asked.lowest:g} is above --max {asked.highest:g}", "swap them")
    if asked.varied == "max-concurrency":
        for flag, value in (("--min", asked.lowest), ("--max", asked.highest)):
            if value is not None and not value.is_integer():
                yield Problem(
                    f"{flag} {value:g} is no number of requests in flight", "give a whole number from 1 on"
                )
