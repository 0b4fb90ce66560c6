"""The formats that can be read: one table, the most specific first; other packages may add to it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from inferometer.errors import UsageError
from inferometer.exchange.importing.found import Found, checked, is_marked
from inferometer.exchange.importing.source import Source, names_of

GROUP = "inferometer.importers"


@dataclass(frozen=True)
class Format:
    """One tool's result files.

    Attributes:
        name: for ``--as``.
        title: what it is, for people.
        sniff: which part of the tool's results a file is ("summary"); None = none of it. It looks at the content
            alone, raises nothing but ``UsageError``, and says None when in doubt.
        read: a run from the parts that ``sniff`` knew, in the order of their names. It raises ``UsageError``.
    """

    name: str
    title: str
    sniff: Callable[[Source], str | None]
    read: Callable[[Sequence[Part]], Found]


@dataclass(frozen=True)
class Part:
    """A file, and which part of a tool's results it is."""

    source: Source
    kind: str


# What a file may provoke that holds another type, or nothing, where a reader takes something for granted.
_STRANGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)

_BUILT_IN = {
    name: f"inferometer.exchange.importing.{module}"
    for name, module in (
        ("inferometer", "own_tables:FORMAT"),
        ("llm-d", "llm_d:FORMAT"),
        ("guidellm", "guidellm:FORMAT"),
        ("aiperf", "aiperf:FORMAT"),
        ("genai-bench", "genai_bench:FORMAT"),
        ("inference-perf", "inference_perf:FORMAT"),
        ("inference-benchmarker", "inference_benchmarker:FORMAT"),
        ("evalscope", "evalscope:FORMAT"),
        ("aisbench", "aisbench:FORMAT"),
        ("mindie", "mindie:FORMAT"),
        ("lmdeploy", "lmdeploy:FORMAT"),
        ("llmperf", "llmperf:FORMAT"),
        ("inferencex", "inferencex:FORMAT"),
        ("pytorch", "pytorch:FORMAT"),
        ("sglang", "sglang:FORMAT"),
        ("vllm", "vllm:FORMAT"),
        ("openmetrics", "openmetrics:FORMAT"),
        ("console", "console:FORMAT"),
    )
}


NAMES = tuple(_BUILT_IN)
"""Of the formats that come with the package."""


def formats() -> dict[str, Format]:
    """All formats by name: those of other packages first, then ours, the most specific first.

    Raises:
        ValueError: a package names a format that there is already.
    """
    targets: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        if point.name in targets or point.name in _BUILT_IN:
            raise ValueError(f"importer {point.name!r} is already registered")
        targets[point.name] = point.value
    targets |= _BUILT_IN
    return {name: _loaded(target) for name, target in targets.items()}


def _loaded(target: str) -> Format:
    module, _, attribute = target.partition(":")
    found: Format = getattr(importlib.import_module(module), attribute)
    return found


def detect(sources: Sequence[Source]) -> tuple[Format, list[Part], list[Source]]:
    """Whose results these files are: the format, its parts, and the files that are none of them.

    Raises:
        UsageError: nobody's, or those of several tools.
    """
    known = formats()
    found, others = _sorted(known.values(), sources)
    if not found:
        raise UsageError(
            f"{names_of(sources)}: no known result file; it holds {_seen(sources[0])}",
            f"known: {', '.join(known)}; --as NAME says which it is",
        )
    if len(found) > 1 and set(found) > {"console"}:
        found.pop("console", None)  # what a tool printed beside what it wrote
    if len(found) > 1:
        told = "; ".join(
            f"{name}: {names_of([part.source for part in parts])}" for name, parts in found.items()
        )
        raise UsageError(f"results of several tools: {told}", "name the files of one tool, or --as NAME")
    name, parts = next(iter(found.items()))
    return known[name], parts, others


def told_as(name: str, sources: Sequence[Source]) -> tuple[Format, list[Part], list[Source]]:
    """The parts of a format that a person named.

    Raises:
        UsageError: there is no such format, or no file looks like a part of it.
    """
    known = formats()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"unknown format of results {name!r}", hint)
    found, others = _sorted([known[name]], sources)
    if not found:
        raise UsageError(
            f"{names_of(sources)}: no part of {known[name].title}; it holds {_seen(sources[0])}",
            "leave out --as to see whose it is",
        )
    return known[name], found[name], others


def _sorted(
    known: Collection[Format], sources: Sequence[Source]
) -> tuple[dict[str, list[Part]], list[Source]]:
    """The parts by format, the first that knows them, and the files that are none: pictures, empty logs.

    Raises:
        UsageError: nothing was found, and a file could not be looked into.
    """
    found: dict[str, list[Part]] = {}
    others: list[Source] = []
    refused: list[UsageError] = []
    for source in sources:
        try:
            part = _part(known, source)
        except UsageError as error:
            part = None
            refused.append(error)
        if part is None:
            others.append(source)
        else:
            found.setdefault(part[0], []).append(part[1])
    if refused and not found:
        raise refused[0]
    return found, others


def _part(known: Collection[Format], source: Source) -> tuple[str, Part] | None:
    """The format that a file belongs to, and as what."""
    if source.is_binary:
        return None
    kinds = ((fitting.name, _kind(fitting, source)) for fitting in known)
    return next(((name, Part(source, kind)) for name, kind in kinds if kind is not None), None)


def read_all(sources: Sequence[Source], name: str | None = None) -> tuple[Found, list[Source]]:
    """A run from files, and which of them it came from.

    Args:
        sources: the files.
        name: of the format; None = as their content says.

    Raises:
        UsageError: nobody's results, or broken ones; names file, line or key, and rule.
    """
    chosen, parts, others = detect(sources) if name is None else told_as(name, sources)
    try:
        found = chosen.read(parts)
        found.points = [checked(point) for point in found.points]
    except _STRANGE as error:
        # A file may hold anything in any place; the readers check what they know to vary.
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{names_of([part.source for part in parts])}: not as {chosen.title} is written: {what}",
            "was it changed by hand, or cut? Else the version is not known yet",
        ) from error
    if not found.points:
        raise UsageError(
            f"{names_of([part.source for part in parts])}: no load point in it",
            "did the tool come to its end?",
        )
    found.simulated = found.simulated or is_marked(found)
    found.notes += list(_about(parts, others))
    return found, [part.source for part in parts]


def _kind(fitting: Format, source: Source) -> str | None:
    """Which part of the format a file is; a file that holds something strange where one is looked for is none."""
    try:
        return fitting.sniff(source)
    except _STRANGE:
        return None


def _about(parts: Sequence[Part], others: Sequence[Source]) -> Iterator[str]:
    for part in parts:
        if part.kind.endswith("jsonl") and part.source.torn:
            yield f"the last line of {part.source.name} is cut and was left out"
    if others:
        yield f"not read: {names_of(others)}"


def _seen(source: Source) -> str:
    """What a file holds, in a few words.

    Raises:
        UsageError: JSON that is broken.
    """
    if source.is_binary:
        return "binary data, not text"
    if source.objects:
        return f"a JSON object with {', '.join(list(source.objects[0])[:6])}"
    if isinstance(source.content, list):
        return f"a JSON list of {len(source.content)}"
    if source.table:
        return f"a table with the columns {', '.join(dict.fromkeys(source.table[0][:12]))}"
    if source.head.lstrip()[:1] in ("{", "["):
        source.json()
    return f"text that begins with {source.head.strip()[:40]!r}"
