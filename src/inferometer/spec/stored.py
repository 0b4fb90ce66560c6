"""The spec of a stored run: what it was asked for, taken up again, and held against what is asked for now."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from inferometer.errors import RunFolderError, UsageError
from inferometer.spec.layers import Layer, public_dict
from inferometer.spec.model import RunSpec
from inferometer.spec.options import SECRET_MARK, Option, options
from inferometer.spec.points import LoadPoint
from inferometer.spec.search import Search

# What may be another at any time: it decides in which order, how often and by whom is measured, and how that is judged
# and shown, but not what one load point sends, nor to whom. What is not listed, as a field of a later version, may not.
_FREE_PARTS = frozenset({"cluster", "sweep", "search", "measure", "output"})
_FREE_LOAD = frozenset({"pair", "workers", "warmup", "grace_s"})
_CREDENTIALS = frozenset(
    {"api_key", "api_key_file", "app_code", "header", "client_cert", "client_key", "ca_file", "insecure"}
)
# Values that a load point has by itself: others make another load point. One seed holds for all of them.
_OF_POINTS = frozenset(field.name for field in fields(LoadPoint)) - {"seed"}
_BINDING = frozenset({"sweep.same_prompts"})
_OF_LAUNCHED = frozenset(
    {"endpoint.url", "launch.ready_limit_s", "launch.unchecked"}
)  # free where the run starts its server itself
_KEYS = ("endpoint.api_key", "endpoint.api_key_file")


def target_of(stored: Mapping[str, Any]) -> str | None:
    """What a stored spec searched for; None for that of a run."""
    found = dict(stored.get("search", {})).get("target")
    return None if found is None else str(found)


def was_simulated(stored: Mapping[str, Any]) -> bool:
    """Whether a stored spec is that of ``inferometer simulate``, which measures no server."""
    part = dict(stored.get("simulation", {}))
    return part.get("profile") is not None or part.get("device") is not None


def check_kind(stored: Mapping[str, Any], run: str, verb: str) -> None:
    """A run goes on as a run, and a search as a search: its load points follow from its own results.

    Args:
        stored: ``RunMeta.spec``.
        run: its name.
        verb: "run" or "search", by which it is to go on.

    Raises:
        UsageError: it is of the other kind, or was simulated.
    """
    if was_simulated(stored):
        raise UsageError(
            f"run {run} was simulated, and is not gone on with",
            "begin it anew, which takes little time: inferometer simulate",
        )
    kind = "run" if target_of(stored) is None else "search"
    if kind != verb:
        what = "no search" if kind == "run" else "that of a search"
        raise UsageError(
            f"run {run} is {what}", f"go on with it: inferometer {kind} --resume {run}; or leave out --resume"
        )


def check_variable(stored: Mapping[str, Any], run: str, spec: RunSpec) -> None:
    """A search that goes on varies the load that it varied: the others were kept as they were.

    Raises:
        UsageError: it is to vary another.
    """
    had, now = (_varied(search) for search in (Search.model_validate(stored["search"]), spec.search))
    if had != now:
        raise UsageError(
            f"run {run} searched by {had}, which cannot become {now}", "start a new search (without --resume)"
        )


def _varied(search: Search) -> str:
    return "--target max-batch" if search.target == "max-batch" else f"--search {search.varied}"


def stored_layer(stored: Mapping[str, Any], run: str, given: Collection[str] = ()) -> Layer:
    """What a stored run was asked for, as the weakest layer of values; secrets are not stored, so they are not in it.

    A concurrency that was the load itself is no cap on rates that are given now, and is left out beside them.

    Args:
        stored: ``RunMeta.spec``.
        run: its name.
        given: dotted names of what is given now.

    Raises:
        RunFolderError: it holds a value that this version does not know.
    """
    usual = public_dict(RunSpec())
    had = _flat(stored)
    strange = sorted(set(had) - set(options()))
    if strange:
        raise RunFolderError(
            f"run {run}: {', '.join(strange)} in its run.json is not known to this version",
            "go on with it by the version of inferometer that began it",
        )
    values = {
        dotted: value
        for dotted, value in had.items()
        if SECRET_MARK not in json.dumps(value)
        and value != usual[options()[dotted].part][options()[dotted].name]
    }
    if had.get("launch.command") is not None:
        values.pop("endpoint.url", None)  # where that server was; the next one may listen elsewhere
    if "load.request_rate" in given and "load.request_rate" not in values:
        values.pop("load.max_concurrency", None)
    return Layer(values, dict.fromkeys(values, f"run {run}"))


def check_secrets(stored: Mapping[str, Any], spec: RunSpec) -> None:
    """The secrets that a run was begun with are there again.

    Raises:
        UsageError: one is not; they are never stored.
    """
    had, has = _flat(stored), _flat(public_dict(spec))
    keyed = any(has[name] is not None for name in _KEYS) or "authorization" in _header_names(has)
    for dotted, option in options().items():
        before = had.get(dotted)
        if option.name == "header" or before is None or SECRET_MARK not in json.dumps(before):
            continue
        if has[dotted] in (None, []) and not (dotted in _KEYS and keyed):
            where = f"{option.flag} {option.metavar}, or in {option.variable}"
            if dotted == "endpoint.api_key":
                where = f"{option.flag} {option.metavar}, or in OPENAI_API_KEY"
            raise UsageError(
                f"the run was begun with {option.flag}, which is not stored", f"give it: {where}"
            )
    lacking = _header_names(had) - _header_names(has)
    if lacking and not (lacking == {"authorization"} and keyed):
        raise UsageError(
            f"the run was begun with the headers {', '.join(sorted(lacking))}, whose values are not stored",
            "give them again: --header 'NAME: VALUE'",
        )


def differences(stored: Mapping[str, Any], spec: RunSpec) -> list[str]:
    """What is asked for otherwise than in a stored run, such as ``--temperature: 0.5 -> 0.9``.

    Lists of loads and lengths, how it is judged and shown, and credentials may differ, and are left out.
    """
    now, usual = _flat(public_dict(spec)), _flat(public_dict(RunSpec()))
    had = _flat(stored)
    launched = had.get("launch.command") is not None and spec.launch.command is not None
    found = []
    for dotted, option in options().items():
        before, after = had.get(dotted, usual[dotted]), now[dotted]
        if (dotted not in _BINDING and _is_free(option)) or (launched and dotted in _OF_LAUNCHED):
            continue
        if json.dumps(before) != json.dumps(after):
            found.append(f"{option.flag}: {shown_value(before)} -> {shown_value(after)}")
    return found


def _is_free(option: Option) -> bool:
    names = {"load": _FREE_LOAD, "endpoint": _CREDENTIALS}.get(option.part, frozenset())
    return option.part in _FREE_PARTS or option.name in names or option.name in _OF_POINTS


def shown_value(value: Any) -> str:
    """A value as a message shows it."""
    if value is None or value == [] or value == "":
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flat(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}.{name}": value for part, values in spec.items() for name, value in values.items()}


def _header_names(flat: Mapping[str, Any]) -> set[str]:
    return {str(header).partition(":")[0].lower() for header in flat.get("endpoint.header") or ()}
