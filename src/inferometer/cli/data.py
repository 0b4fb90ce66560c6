"""``inferometer data``: make data sets to measure, look into them, bring them into another form."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.data_files import ACTIONS, Progress, quiet_flags, refuse_existing, write
from inferometer.cli.parse import Parser, add_option
from inferometer.errors import UsageError
from inferometer.spec import Layer, RunSpec, load_points, merge
from inferometer.spec.options import options

if TYPE_CHECKING:
    from inferometer.spec.lengths import LengthPlan
    from inferometer.workload.make import Moments
    from inferometer.workload.samples import Sample

_OVERVIEW = """usage: inferometer data ACTION [flags]

  make       a file of prompts whose lengths have the mean, deviation and limits asked for
  inspect    lengths, languages, duplicates and shared prefixes of a file
  convert    a file in another format: {formats}
  sample     some rows of a file, drawn at random
  anonymise  lengths and shared blocks of a file without its text, as a trace

inferometer data ACTION --help tells more"""
_MAKE = """Makes prompts of exact lengths and writes them to a file. With --min-input and its kin, lengths are normal,
clipped to their limits, and have the mean and the deviation asked for after that; impossible ones are refused."""
_MAKE_MORE = """A .json file holds records of input, output and instruction, as generate_dataset.py writes them;
a .jsonl file holds prompt and output_tokens. Run either with --dataset custom."""
_GUIDE = tuple(f"{what}_{side}" for side in ("input", "output") for what in ("min", "max", "avg", "std"))
_WORDS = {"min": "least of", "max": "greatest of", "avg": "mean of", "std": "standard deviation of"}
_LENGTHS = (
    "input_len",
    "output_len",
    "lengths",
    "input_dist",
    "output_dist",
    "range_ratio",
    "range_ratio_as",
)
_OURS = tuple(f"workload.{name}" for name in (*_LENGTHS, "text", "tokenizer"))
_PREFIX = tuple(f"prefix.prefix_{name}" for name in ("len", "groups", "popularity", "zipf", "share"))
_ALWAYS = Layer({"endpoint.url": "http://localhost", "load.max_concurrency": 1}, {})
_RECOUNTED = 200
_REQUESTS = 1000


def main(argv: list[str]) -> int:
    """Carry out one action."""
    from inferometer.workload.samples import FORMATS

    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_OVERVIEW.format(formats=", ".join(FORMATS)))
        return 0
    action, *rest = argv
    if action == "make":
        return _make(rest)
    if action not in ACTIONS:
        known = ", ".join(("make", *ACTIONS))
        raise UsageError(f"unknown action {action!r} of data", f"choose one of {known}")
    return ACTIONS[action](rest)


def _parser() -> Parser:
    parser = Parser("data make", _MAKE, epilog=_MAKE_MORE, argument_default=argparse.SUPPRESS)
    parser.add_argument("--dataset", "--output", "-o", dest="out", metavar="FILE", help="file to write")
    parser.add_argument(
        "--num-requests", "--num-prompts", "-n", dest="count", metavar="N", type=int,
        help="default: as the file of --lengths says, else 1000",
    )  # fmt: skip
    parser.add_argument("--seed", dest="load.seed", metavar="N")
    parser.add_argument("--dataset-type", dest="type", choices=("random", "fixed"), default="random")
    parser.add_argument(
        "--input-length", dest="workload.input_len", metavar="N", help="for --dataset-type fixed"
    )
    parser.add_argument("--format", dest="format", metavar="NAME", help="default: as the file's name says")
    for name in _GUIDE:
        what, side = name.split("_")
        text = f"{_WORDS[what]} {side} lengths, tokens (default {_guides(what, side):g})"
        parser.add_argument(f"--{what}-{side}", dest=name, metavar="N", type=float, help=text)
    for dotted in (*_OURS, *_PREFIX):
        add_option(parser, options()[dotted])
    quiet_flags(parser)
    return parser


def _guides(what: str, side: str) -> float:
    from inferometer.workload.make import GUIDE_INPUT, GUIDE_OUTPUT

    guide = GUIDE_INPUT if side == "input" else GUIDE_OUTPUT
    return {"min": guide.least, "max": guide.most, "avg": guide.mean, "std": guide.std}[what]


def _make(argv: list[str]) -> int:
    found = vars(_parser().parse(argv))
    if "out" not in found:
        raise UsageError("data make does not know where to write", "give --dataset FILE.json")
    out = Path(found["out"])
    flags = {dotted: value for dotted, value in found.items() if "." in dotted}
    spec = merge([Layer(flags, dict.fromkeys(flags, "flag")), _ALWAYS]).spec
    if spec.workload.text == "token-ids":
        raise UsageError(
            "--text token-ids makes no text that a file of prompts could hold", "choose another text"
        )
    if found.get("count", 1) < 1:
        raise UsageError(f"--num-requests {found['count']} is below 1", "give 1 or more")
    refuse_existing(out)
    plan = _plan(spec, found)
    found.setdefault("count", plan.requests or _REQUESTS)
    made, summary = _write(spec, plan, found, out)
    if not found["quiet"]:
        print("\n".join(summary))
        print(
            f"next  inferometer run --dataset custom --dataset-path {out}{_columns(_format(found, out))} --url URL"
        )
    if found["json"]:
        print(json.dumps({"file": str(out), "requests": made, "exit_code": 0}))
    return 0


def _plan(spec: RunSpec, found: dict[str, Any]) -> LengthPlan:
    """The guide's lengths, unless ours are given; one side may be given in either way."""
    from inferometer.spec.lengths import length_plan
    from inferometer.workload.make import GUIDE_INPUT, GUIDE_OUTPUT, plan_by_moments

    ours = [name for name in _LENGTHS if f"workload.{name}" in found]
    guides = [name for name in _GUIDE if name in found]
    if ours and guides:
        raise UsageError(
            f"--{guides[0].replace('_', '-')} and --{ours[0].replace('_', '-')} both set lengths",
            "keep one of them",
        )
    points = load_points(spec)
    if len(points) > 1:
        raise UsageError("several lengths make several files", "give one --input-len and one --output-len")
    if found["type"] == "fixed" and "workload.input_len" not in found:
        raise UsageError("--dataset-type fixed needs a length", "give --input-length N")
    if ours:
        return length_plan(spec.workload, points[0].input_len, points[0].output_len)
    return plan_by_moments(_moments(found, "input", GUIDE_INPUT), _moments(found, "output", GUIDE_OUTPUT))


def _moments(found: dict[str, Any], side: str, guide: Moments) -> Moments:
    from inferometer.workload.make import Moments

    return Moments(
        mean=found.get(f"avg_{side}", guide.mean),
        std=found.get(f"std_{side}", guide.std),
        least=found.get(f"min_{side}", guide.least),
        most=found.get(f"max_{side}", guide.most),
    )


def _format(found: dict[str, Any], out: Path) -> str:
    if "format" in found:
        return str(found["format"])
    return "fixed" if found["type"] == "fixed" else "records" if out.suffix == ".json" else "custom"


def _columns(name: str) -> str:
    return {"records": " --column prompt=input output=output", "fixed": " --column prompt=input"}.get(
        name, ""
    )


def _write(spec: RunSpec, plan: LengthPlan, found: dict[str, Any], out: Path) -> tuple[int, list[str]]:
    from itertools import islice

    from inferometer.workload import load_tokenizer
    from inferometer.workload.make import make, miscounted, moments, settled
    from inferometer.workload.samples import samples

    tokenizer, count = load_tokenizer(spec.workload.tokenizer), found["count"]
    requests = islice(make(spec, settled(plan, count, spec.load.seed), tokenizer), count)
    kept: list[Sample] = []
    inputs: list[int] = []
    outputs: list[int] = []

    def noted(sample: Sample) -> Sample:
        inputs.append(sample.input_tokens)
        outputs.append(sample.output_tokens or 0)
        if len(kept) < _RECOUNTED:
            kept.append(sample)
        return sample

    progress = Progress("made", count, quiet=found["quiet"])
    rows = (noted(sample) for sample in progress.over(samples(requests, tokenizer)))
    write(out, rows, _format(found, out), tokenizer, spec.load.seed)
    wrong = miscounted([sample.prompt for sample in kept], inputs[:_RECOUNTED], tokenizer)
    lines = [
        f"{count:,} requests in {out}, format {_format(found, out)}",
        f"  {'tokens':<10}{'':<6}{'mean':>10}{'std':>10}{'min':>8}{'max':>8}",
        *_side_lines("prompts", found, "input", moments(inputs)),
        *_side_lines("answers", found, "output", moments(outputs)),
        f"counted again as a whole: {len(kept)} prompts, {wrong or 'none'} of another length (tokenizer "
        f"{tokenizer.name}{'' if tokenizer.exact else ', an estimate'})",
    ]
    return count, lines


def _side_lines(name: str, found: dict[str, Any], side: str, made: Moments) -> list[str]:
    from inferometer.workload.make import GUIDE_INPUT, GUIDE_OUTPUT

    lines = []
    if not any(f"workload.{key}" in found for key in _LENGTHS):
        lines.append(
            _moment_line(
                name, "asked", _moments(found, side, GUIDE_INPUT if side == "input" else GUIDE_OUTPUT)
            )
        )
    return [*lines, _moment_line(name if not lines else "", "made", made)]


def _moment_line(name: str, word: str, values: Moments) -> str:
    return f"  {name:<10}{word:<6}{values.mean:>10,.1f}{values.std:>10,.1f}{values.least:>8,.0f}{values.most:>8,.0f}"
