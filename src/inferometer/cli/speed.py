"""``inferometer speed``: how fast an engine generates without load, by length of the prompt."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.parse import Parser, add_option
from inferometer.errors import UsageError
from inferometer.exchange.compat.speed import translated
from inferometer.spec import Load
from inferometer.spec.options import Option
from inferometer.spec.speed import SpeedSpec, speed_options, speed_spec

if TYPE_CHECKING:
    from inferometer.api.speeding import SpeedResult

_TEXT = """\
Generates batches one after the other, in transformers or vLLM in a process of their own, or on a server, and reports
generated tokens / time, prefill and decode apart, and peak memory, for each prompt length: the procedure of Qwen's
speed reports. What does not fit is a row (OOM, too long), and the others are measured all the same."""
_MORE = """examples:
  inferometer speed Qwen/Qwen2.5-0.5B-Instruct --attn-implementation flash_attention_2 --device cuda:0
  inferometer speed ./model --engine vllm --python ~/vllm/bin/python --input-len 1 6144 14336 --batch-size 1 8
  inferometer speed ./model --engine endpoint --url http://127.0.0.1:8000 --input-len 1 6144 --generate-len 256
Flags of speed_benchmark_transformers.py, speed_benchmark_vllm.py and evalscope perf --dataset speed_benchmark are
understood. In the folder: speed.json (raw), speed_benchmark.json (EvalScope's keys), speed.md (Qwen's table),
speed_summary.json; `inferometer report FOLDER` makes them again. Exit code 5: INVALID, 130: interrupted."""
_POSITIONAL = "model"
_NOT_HERE = ("to", "csv", "md", "xlsx", "view", "json", "unproven", "nodes_served", "encoding")


def main(argv: list[str]) -> int:
    """Parse, measure, print."""
    parser = _parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    words, hints = translated(argv, known)
    found = vars(parser.parse(words))
    form, as_json, quiet = found.pop("format"), found.pop("json"), found.pop("quiet")
    if not quiet:
        for hint in hints:
            print(f"hint: {hint}", file=sys.stderr)
    spec = speed_spec({name.removeprefix("speed."): value for name, value in found.items()})
    return _show(_measured(spec, quiet), form, as_json)


def _parser() -> Parser:
    from inferometer.report.speed import FORMATS

    parser = Parser(
        "speed",
        _TEXT,
        epilog=_MORE,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own = speed_options()
    # A list of lengths may stand before it, so that it is looked for among the words that no flag took.
    parser.add_argument(_POSITIONAL, nargs="?", metavar="MODEL", help=own[_POSITIONAL].text)
    for name, option in own.items():
        if name != _POSITIONAL:
            add_option(parser, replace(option, text=option.text + _default(option)))
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="console",
        help="of what is printed: md is Qwen's table, json EvalScope's",
    )
    parser.add_argument(
        "--json", action="store_true", default=False, help="the last line of stdout is a JSON object"
    )
    parser.add_argument("-q", "--quiet", action="store_true", default=False, help="no hints and no progress")
    return parser


def _default(option: Option) -> str:
    """What holds when the flag is not given, where its text does not say so."""
    value = option.default
    if value is None or option.shape == "switch" or "(default" in option.text:
        return ""
    words = " ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in _listed(value))
    return f" (default {words})"


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _measured(spec: SpeedSpec, quiet: bool) -> SpeedResult:
    from inferometer.api.speeding import speed
    from inferometer.cli.signals import stopping
    from inferometer.loadgen.stop import StopSignal

    def tell(line: str) -> None:
        if not quiet:
            print(f"speed: {line}", file=sys.stderr, flush=True)

    stop = StopSignal()
    with stopping(stop, Load().grace_s if spec.engine == "endpoint" else 0.0):
        return speed(spec, tell, stop)


def _show(result: SpeedResult, form: str, as_json: bool) -> int:
    from inferometer.cli.outcome import colour
    from inferometer.report.speed import render

    print(render(result.summary, form, colour=colour()))
    print(f"run  {result.path}", file=sys.stdout if form == "console" else sys.stderr)
    if as_json:
        word = result.summary.verdict.word
        line: dict[str, Any] = {"run": str(result.path), "verdict": word, "exit_code": result.exit_code}
        print(json.dumps(line, ensure_ascii=False))
    return result.exit_code


def report_again(folder: Path, asked: argparse.Namespace) -> int:
    """Print a stored measurement again, computed anew.

    Args:
        folder: it lies there.
        asked: the flags of ``report``.

    Raises:
        UsageError: they ask for something that it has not.
    """
    from inferometer.api.speeding import speed_report
    from inferometer.cli.outcome import colour
    from inferometer.report.speed import FORMATS, render

    if (
        len(asked.run) > 1
        or asked.table not in (None, "speed")
        or any(getattr(asked, name) for name in _NOT_HERE)
    ):
        raise UsageError(
            f"{folder.name} is a measurement of speed: it has one table, and stands alone",
            f"leave out all but --format; its files lie in {folder}",
        )
    form = asked.format or "console"
    if form not in FORMATS:
        raise UsageError(
            f"a measurement of speed is not written as {form}", "choose --format console, md or csv"
        )
    print(render(speed_report(folder), form, colour=colour()))
    return 0
