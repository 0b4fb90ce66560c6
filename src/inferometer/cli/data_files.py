"""The actions of ``inferometer data`` that read a file: inspect, convert, sample, anonymise."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from inferometer.cli.parse import Parser, add_option
from inferometer.errors import DataError, UsageError
from inferometer.spec import Layer, RunSpec, merge
from inferometer.spec.options import options

if TYPE_CHECKING:
    from inferometer.workload import Tokenizer
    from inferometer.workload.samples import Sample

Item = TypeVar("Item")
_READING = ("tokenizer", "on_bad_row", "column", "category")
# Every row is of interest here, also those that a load would leave out.
_UNFILTERED = {
    f"workload.sharegpt_{name}": 0 for name in ("min_input", "min_output", "max_input", "max_total")
}
_STEP = 100
_NOT_WRITTEN = (".csv", ".tsv", ".parquet", ".gz", ".zst", ".zstd")


class Progress:
    """Says on stderr how far it is, when a person is looking."""

    def __init__(self, word: str, total: int | None, *, quiet: bool) -> None:
        self._word = word
        self._total = total
        self._shown = not quiet and sys.stderr.isatty()

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, told as they pass."""
        for number, item in enumerate(items):
            if self._shown and number % _STEP == 0:
                of = "" if self._total is None else f" of {self._total:,}"
                print(f"\r{self._word} {number:,}{of}", end="", file=sys.stderr, flush=True)
            yield item
        if self._shown:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


def quiet_flags(parser: Parser) -> None:
    """``--quiet`` and ``--json``."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=False, help="no progress and no summary"
    )
    parser.add_argument("--json", action="store_true", default=False, help="the last line is a JSON object")


def refuse_existing(out: Path) -> None:
    """A directory that is missing, a name that is one, or one whose ending promises what is not written.

    Raises:
        UsageError: see above.
    """
    if out.suffix.lower() in _NOT_WRITTEN:
        raise UsageError(
            f"--output {out}: files are written as JSON, not as {out.suffix}", "name a .json or .jsonl file"
        )
    if out.is_dir() or not out.parent.is_dir():
        what = "is a directory" if out.is_dir() else f"cannot be written: {out.parent} is no directory"
        raise UsageError(f"--output {out} {what}", "name a file in a directory that exists")


def write(out: Path, rows: Iterable[Sample], name: str, tokenizer: Tokenizer, seed: int) -> int:
    """Write samples in a format; the file appears when it is complete.

    Raises:
        UsageError: no such format, or the file cannot be written.
    """
    from inferometer.workload.samples import ARRAYS, FORMATS, row_writer

    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", f"choose one of {', '.join(FORMATS)}")
    row = row_writer(name, tokenizer, seed)
    return write_rows(out, (row(sample) for sample in rows), array=name in ARRAYS)


def write_rows(out: Path, rows: Iterable[dict[str, Any]], *, array: bool) -> int:
    """Write rows; returns how many."""
    from inferometer.workload.samples import encoded

    part, count = out.with_name(out.name + ".part"), 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    try:
        with part.open("wb") as file:
            file.writelines(encoded(counted(), array=array))
        part.replace(out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", "check the path and the free space"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return count


def print_json(values: dict[str, Any]) -> None:
    """The line for machines."""
    print(json.dumps({**values, "exit_code": 0}, ensure_ascii=False))


def _reader(action: str, text: str, *, writes: bool) -> Parser:
    parser = Parser(f"data {action}", text, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        "file", metavar="FILE", help="file or directory of the data set, or - for standard input"
    )
    parser.add_argument(
        "--dataset", dest="workload.dataset", metavar="NAME", help="its format (default: found out)"
    )
    for name in _READING:
        add_option(parser, options()[f"workload.{name}"])
    if writes:
        parser.add_argument("-o", "--output", dest="out", required=True, metavar="FILE", help="file to write")
    quiet_flags(parser)
    return parser


def _spec(found: dict[str, Any]) -> RunSpec:
    flags = {dotted: value for dotted, value in found.items() if dotted.startswith("workload.")}
    flags["workload.dataset_path"] = found["file"]
    always: dict[str, Any] = {
        "endpoint.url": "http://localhost"
    }  # no load either: a trace is read to its end
    if "workload.dataset" not in flags:
        from inferometer.workload.recognise import recognise

        name, columns = recognise(found["file"])
        always |= {"workload.dataset": name} | ({"workload.column": columns} if columns else {})
    if flags.get("workload.dataset", always.get("workload.dataset")) == "sharegpt":
        always |= _UNFILTERED
    return merge([Layer(flags, dict.fromkeys(flags, "flag")), Layer(always, {})]).spec


def _samples(spec: RunSpec, quiet: bool) -> tuple[Iterator[Sample], Tokenizer]:
    from inferometer import api
    from inferometer.workload.samples import samples

    dataset, tokenizer = api.open_data(spec)
    if dataset.info().rows_total is None:
        raise UsageError(f"data set {spec.workload.dataset} is no file", "name the format: --dataset custom")
    found = samples(dataset.requests(spec.load.seed, ""), tokenizer)
    return Progress("read", dataset.info().rows_total, quiet=quiet).over(found), tokenizer


def _inspect(argv: list[str]) -> int:
    from dataclasses import asdict

    from inferometer.workload.inspection import inspect, inspection_lines

    found = vars(_reader("inspect", "Shows what a data set holds.", writes=False).parse(argv))
    spec = _spec(found)
    rows, tokenizer = _samples(spec, found["quiet"])
    result = inspect(rows, tokenizer)
    if not result.rows:
        raise DataError(f"{found['file']} has no usable row", "check --dataset")
    if not found["quiet"]:
        print(f"data set    {found['file']}, read as {spec.workload.dataset}")
        print("\n".join(inspection_lines(result, tokenizer)))
    if found["json"]:
        print_json(asdict(result))
    return 0


def _convert(argv: list[str]) -> int:
    from inferometer.workload.samples import FORMATS

    text = (
        "Writes a data set in another format. Answers are known by their length alone; where a format holds their "
        "text, random words of that length stand for it. Of a conversation the first turn is kept."
    )
    parser = _reader("convert", text, writes=True)
    parser.add_argument("--to", choices=FORMATS, required=True, help="format to write")
    found = vars(parser.parse(argv))
    out = _output(found)
    spec = _spec(found)
    rows, tokenizer = _samples(spec, found["quiet"])
    return _told(found, out, write(out, rows, found["to"], tokenizer, spec.load.seed))


def _anonymise(argv: list[str]) -> int:
    text = (
        "Writes lengths, times and numbered blocks of a data set, and none of its text: prompts that begin with the "
        "same tokens have the same numbers. Run it with --dataset mooncake, or --dataset trace for other blocks."
    )
    parser = _reader("anonymise", text, writes=True)
    parser.add_argument(
        "--block-size", type=int, default=512, metavar="N", help="tokens of a block (default 512)"
    )
    found = vars(parser.parse(argv))
    if found["block_size"] < 1:
        raise UsageError(f"--block-size {found['block_size']} is below 1", "give 16 or 512")
    from inferometer.workload.samples import Blocks, trace_row

    out = _output(found)
    rows, tokenizer = _samples(_spec(found), found["quiet"])
    blocks = Blocks(tokenizer, found["block_size"])
    return _told(found, out, write_rows(out, (trace_row(row, blocks) for row in rows), array=False))


def _sample(argv: list[str]) -> int:
    from inferometer.workload.recognise import sampled_rows

    parser = Parser(
        "data sample", "Writes some rows of a file, drawn at random, as they are and in their order."
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "-n", "--num-prompts", dest="count", type=int, required=True, metavar="N", help="rows to draw"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides which (default 0)")
    parser.add_argument("-o", "--output", dest="out", required=True, metavar="FILE", help="file to write")
    quiet_flags(parser)
    found = vars(parser.parse(argv))
    if found["count"] < 1:
        raise UsageError(f"-n {found['count']} is below 1", "give 1 or more")
    out = _output(found)
    rows = sampled_rows(found["file"], found["count"], found["seed"])
    return _told(found, out, write_rows(out, rows, array=out.suffix == ".json"))


def _output(found: dict[str, Any]) -> Path:
    out = Path(found["out"])
    refuse_existing(out)
    if out.exists() and Path(found["file"]).exists() and out.samefile(found["file"]):
        raise UsageError(f"--output {out} is the file that is read", "name another one")
    return out


def _told(found: dict[str, Any], out: Path, count: int) -> int:
    if not found["quiet"]:
        print(f"{count:,} rows in {out}")
    if found["json"]:
        print_json({"file": str(out), "rows": count})
    return 0


ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "inspect": _inspect,
    "convert": _convert,
    "sample": _sample,
    "anonymise": _anonymise,
}
