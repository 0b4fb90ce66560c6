"""Compare stored runs, or numbers that a user typed; learn the noise of repeats."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.errors import RunFolderError, UsageError
from inferometer.metrics.comparing.compare import Comparison, Settings, compare
from inferometer.metrics.comparing.gate import Facts, facts_of
from inferometer.metrics.comparing.names import kind_named
from inferometer.metrics.comparing.noise import FEWEST, NOISE_JSON, SCHEMA, LoadNoise, NoiseBook, noise_of
from inferometer.metrics.comparing.sides import Side, SideInfo, side_of_runs, side_of_values
from inferometer.metrics.comparing.units import Measured, measured_loads
from inferometer.metrics.slo import RequestLimit, parse_slos
from inferometer.metrics.summary import RunSummary, stored_spec, summarize
from inferometer.record.folder import read_meta, write_atomic
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord, Telemetry
from inferometer.report.comparison_page import comparison_page
from inferometer.report.page.render import render_page
from inferometer.report.words import Language

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Given(NamedTuple):
    """One side as it was given: folders, or values by name of the figure."""

    label: str
    folders: tuple[Path, ...] = ()
    values: dict[str, tuple[float, ...]] = {}  # noqa: RUF012 - never changed


def given(text: str, find: Callable[[str], Path], out: Path) -> Given:
    """What a user means by a side: ``RUN``, ``RUN,label:NAME``, or ``p99_ttft=412,409``.

    Several figures stand in one argument, apart by blanks: ``"output_throughput=2655 p99_ttft=412"``.

    Args:
        text: as written.
        find: from the name of a run to its folder.
        out: directory of run folders.

    Raises:
        UsageError: no such run or label, or a value that is no number.
    """
    if "=" in text and "label:" not in text and not Path(text).exists():
        return Given(text, values=_values(text))
    folders: list[Path] = []
    labels = []
    for name in [text] if Path(text).exists() else filter(None, text.split(",")):
        if not name.startswith("label:"):
            folders.append(find(name))
            continue
        labels.append(name.removeprefix("label:"))
        found = labelled(out, labels[-1])
        if not found:
            raise UsageError(
                f"no run in {out} has the label {labels[-1]!r}", "`inferometer runs list` shows them"
            )
        folders += [folder.resolve() for folder in found]
    if not folders:
        raise UsageError(f"side {text!r} names no run", "write RUN, RUN,RUN or label:NAME")
    return Given(" | ".join(labels), tuple(folders))


def labelled(out: Path, wanted: str) -> list[Path]:
    """Closed runs in ``out`` with this label (``--label``), or with ``k=v`` among their labels, oldest first."""
    found = []
    name, _, value = wanted.partition("=")
    for path in sorted(out.glob("*/run.json")):
        if path.parent.is_symlink():
            continue
        try:
            meta = read_meta(path.parent)
        except RunFolderError:
            continue  # `runs list` names those that cannot be read
        fits = meta.labels.get(name) == value if value else wanted in (meta.label, *meta.labels.values())
        if fits and meta.state != "running":
            found.append(path.parent)
    return found


def compared(
    sides: Sequence[Given],
    settings: Settings,
    *,
    slos: Sequence[str] = (),
    names: Sequence[str] = (),
    out: Path = Path("runs"),
) -> Comparison:
    """Compare sides; nothing is written.

    Args:
        sides: the first is the baseline.
        settings: what with; its limits are made of ``slos``.
        slos: limits as for ``run``: on load points for the comparison at equal SLO, per request for goodput.
        names: what the sides are to be called, in order.
        out: directory of run folders, where noise that was learned is stored.

    Raises:
        UsageError: too few or too many sides, or something that cannot be compared by.
        RunFolderError: not a run folder, or a run that was not closed.
    """
    if not 2 <= len(sides) <= len(_LETTERS):
        raise UsageError(
            f"{len(sides)} side(s) to compare", "name two to 26: inferometer compare BASELINE CHANGED"
        )
    folders = [folder for one in sides for folder in one.folders]
    twice = next((folder.name for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is on two sides, or twice on one", "each run belongs to one side")
    if len(names) > len(sides):
        raise UsageError(f"{len(names)} names for {len(sides)} sides", "give one --names each, in order")
    per_request, limits = parse_slos(slos)
    told = tuple(limit.text for limit in per_request)
    made = [
        _side(one, letter, names[place] if place < len(names) else "", told)
        for place, (one, letter) in enumerate(zip(sides, _LETTERS, strict=False))
    ]
    settings = msgspec.structs.replace(settings, limits=tuple(limits))
    book = read_noise(out)
    stated = settings.threshold is not None or settings.noise is not None
    if not stated and not any(book.of(made[0], key) for key in made[0].loads):
        raise UsageError(
            "--threshold auto: the noise of this model and load is not known",
            "learn it from repeats of one thing, inferometer compare --aa RUN, or state it: --noise 1%",
        )
    return compare(made, settings, book)


def learn_noise(folders: Sequence[Path], out: Path) -> list[LoadNoise]:
    """What repeats of the same thing differ by, kept in ``out`` for ``--threshold auto`` and for single runs.

    Raises:
        UsageError: no load was measured four times, or the runs are not of the same thing.
        RunFolderError: not a run folder, or it cannot be written.
    """
    side = _side(Given("", tuple(folders)), "A", "", ())
    asked = {name for facts in side.facts for name in facts.asked}
    mixed = [name for name in sorted(asked) if len({facts.asked.get(name) for facts in side.facts}) > 1]
    if mixed:
        raise UsageError(
            f"--aa: these runs are not of the same thing: {', '.join(mixed)} differ", "name runs that are"
        )
    found = noise_of(side)
    if not found:
        raise UsageError(
            f"--aa: no load was measured {FEWEST} times, or by fewer runs that differ by more than their repeats do",
            "measure with --repeat 5 or more, or name as many runs of the same thing",
        )
    book = read_noise(out).learned(found)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / NOISE_JSON, msgspec.json.format(msgspec.json.encode(book), indent=2) + b"\n")
    return found


def read_noise(out: Path) -> NoiseBook:
    """The noise that was learned in ``out``; nothing where none was.

    Raises:
        RunFolderError: the file cannot be understood.
    """
    path = out / NOISE_JSON
    try:
        book = msgspec.json.decode(path.read_bytes(), type=NoiseBook)
    except FileNotFoundError:
        return NoiseBook()
    except (OSError, msgspec.DecodeError) as error:
        raise RunFolderError(
            f"{str(path)!r} cannot be read: {error}", "remove it and learn again with --aa"
        ) from None
    if book.schema != SCHEMA:
        raise RunFolderError(f"{str(path)!r} has schema {book.schema!r}", "use a newer inferometer")
    return book


def loads_and_facts(record: RunRecord, slos: tuple[str, ...] = ()) -> tuple[dict[str, Measured], Facts]:
    """What a closed run brings to a comparison."""
    verdict = (record.meta.verdict or {}).get("word") or summarize(record).verdict.word
    return measured_loads(record, slos), facts_of(record, str(verdict))


def _side(one: Given, letter: str, name: str, slos: tuple[str, ...]) -> Side:
    info = SideInfo(letter=letter, label=name or one.label, runs=[], model="", simulated=False)
    if one.values:
        return side_of_values(info, {kind_named(key).key: values for key, values in one.values.items()})
    loads, facts, records = [], [], []
    for folder in one.folders:
        record = read_run(folder)
        own = slos or tuple(
            limit.text
            for limit in parse_slos(stored_spec(record.meta).measure.slo)[0]
            if isinstance(limit, RequestLimit)
        )
        measured, fact = loads_and_facts(record, own)
        loads.append(measured)
        facts.append(fact)
        records.append(msgspec.structs.replace(info, label=record.meta.label, model=record.meta.model,
            simulated=record.meta.simulated, tool=record.imported.tool if record.imported else "",
            runs=[record.meta.run_id]))  # fmt: skip
    labels = dict.fromkeys(each.label for each in records if each.label)
    whole = msgspec.structs.replace(
        records[0],
        label=info.label or " | ".join(labels),
        model=" | ".join(dict.fromkeys(each.model for each in records)),
        simulated=any(each.simulated for each in records),
        runs=[run for each in records for run in each.runs],
    )
    if not any(loads):
        raise UsageError(
            f"side {letter}: nothing was measured in {', '.join(whole.runs)}", "name a run with load points"
        )
    return side_of_runs(whole, loads, facts)


def together(runs: Sequence[RunRecord]) -> RunSummary:
    """The summary of runs as if their load points were repeats in one; of imported runs that of the first."""
    first = runs[0]
    if len(runs) == 1 or any(run.imported is not None for run in runs):
        return summarize(first)
    tables = [table for run in runs for table in run.measured]
    numbered = tuple(
        replace(table, point=msgspec.structs.replace(table.point, index=place))
        for place, table in enumerate(tables, start=1)
    )
    return summarize(replace(first, tables=numbered, telemetry=Telemetry(), prediction=None))


def _values(text: str) -> dict[str, tuple[float, ...]]:
    found = {}
    for word in text.split():
        name, _, numbers = word.partition("=")
        try:
            values = tuple(float(number) for number in numbers.split(",") if number)
        except ValueError:
            values = ()
        if (
            not values
            or not re.fullmatch(r"[\w.]+", name)
            or any(not 0.0 <= v < float("inf") for v in values)
        ):
            raise UsageError(
                f"{word!r} is not a figure with its values",
                "write output_throughput=2655, or 2655,2649,2660 for repeats",
            )
        found[name] = values
    return found


def comparison_html(comparison: Comparison, out: Path, language: Language = "en") -> str:
    """The comparison as one HTML file; curves are those of all runs of a side, their repeats put together.

    Raises:
        RunFolderError: a run in ``out`` cannot be read.
    """
    summaries = []
    for side in comparison.sides if comparison.comparable else ():
        folders = [out / run for run in side.runs]
        if folders and all(folder.is_dir() for folder in folders):
            summaries.append((side.letter, together(list(map(read_run, folders)))))
    return render_page(comparison_page(comparison, summaries, language))
