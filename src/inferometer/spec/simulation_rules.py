"""Rules of a simulated service: what has no meaning where no server is measured is refused, not ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferometer.errors import UsageError
from inferometer.spec.model import RunSpec
from inferometer.spec.options import options
from inferometer.spec.problems import Problem
from inferometer.spec.simulation import Simulation

_NO_SERVER = "is about a server, and a simulation puts load on none"
_OF_SERVERS: Mapping[str, str] = {
    "endpoint": _NO_SERVER,
    "launch": _NO_SERVER,
    "cluster": "is about machines that send load, and a simulation sends none",
    "images": "asks for pictures, whose time in the engine is not simulated",
}
"""Parts of the spec that a simulation has no use for, and why."""
KEPT = frozenset({"endpoint.model"})
_REFUSED: Mapping[str, str] = {
    "load.workers": "is about processes that send load, and a simulation has none",
    "prefix.prefix_warm": "sends prefixes to a server beforehand, and each simulated load point begins with an empty "
    "cache",
    "prefix.flush_cache": "empties the cache of a server, and each simulated load point begins with an empty one",
    "sessions.history": "repeats recorded answers, and a simulated conversation has only answers of its own",
    "shape.stop_on_errors": "stops a load point for errors, and simulated requests fail for their length alone",
    "shape.stop_on_saturation": "is not simulated: limit the load point with --duration",
    "shape.cancel_share": "is not simulated: all requests wait for their answers",
    "sampling.stop": "ends answers at texts, and simulated answers have none",
    "workload.model_mix": "names several models, and one is simulated",
    "output.keep_text": "stores answers, and simulated ones have no text",
}
_TIMELESS = ("sampling.temperature", "sampling.top_p", "sampling.top_k", "sampling.extra_body")


def belongs_to_server(dotted: str) -> bool:
    """Whether an option says where and how a server is reached or started, by its dotted name."""
    return dotted.partition(".")[0] in ("endpoint", "launch", "cluster") and dotted not in KEPT


def is_refused(dotted: str) -> bool:
    """Whether a simulation takes no value of this option, by its dotted name."""
    return dotted not in KEPT and (dotted in _REFUSED or dotted.partition(".")[0] in _OF_SERVERS)


def simulation_problems(spec: RunSpec) -> Iterator[Problem]:
    """Options of a simulated run that would change nothing, or that are not simulated."""
    for dotted, option in options().items():
        why = _REFUSED.get(dotted) or _OF_SERVERS.get(option.part)
        given = getattr(getattr(spec, option.part), option.name) != option.default
        if why is not None and given and dotted not in KEPT:
            yield Problem(f"{option.flag} {why}", f"leave out {option.flag}, or measure: inferometer run")
    if spec.workload.tokenizer == "server":
        yield Problem(
            "--tokenizer server asks a server, and a simulation has none", "give a tokenizer.json, or builtin"
        )


def timeless(spec: RunSpec) -> list[str]:
    """Flags that were given and do not change when a token comes."""
    known = options()
    return [
        known[dotted].flag
        for dotted in _TIMELESS
        if getattr(spec.sampling, known[dotted].name) != known[dotted].default
    ]


def refuse_simulation(spec: RunSpec, verb: str) -> None:
    """A spec that describes a simulated service is not measured.

    Raises:
        UsageError: it has a part ``simulation``.
    """
    if spec.simulation == Simulation():
        return
    given = [
        option.flag
        for option in options().values()
        if option.part == "simulation" and getattr(spec.simulation, option.name) != option.default
    ]
    raise UsageError(
        f"{', '.join(given)} describe a simulated service, and `inferometer {verb}` measures a real one",
        f"simulate it: inferometer simulate{' --target slo' if verb == 'search' else ''} ..., or drop the part "
        "`simulation`",
    )
