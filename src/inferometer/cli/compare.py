"""``inferometer compare``: whether two runs differ, by how much, and how sure that is."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.metrics.comparing.compare import Comparison, Settings
    from inferometer.metrics.comparing.effects import Word

NOT_COMPARABLE, REGRESSION = 5, 4
_TEXT = """\
Compares runs: first whether they may be compared at all, then each figure with its change, 95 % interval, exact rank
test and a word: better, worse, same or unsure. The first SIDE is the baseline. A side is RUN (whose load points have
repeats: run --repeat 5), several runs as one: RUN,RUN,RUN or label:NAME (all runs with that label), or numbers from
elsewhere: output_throughput=2655 or "output_throughput=2655,2649 p99_ttft=412" (several values are repeats).

For a sound answer measure both sides with --repeat 5 (4 are the fewest). Where a restart of the server may change its
speed, measure five runs of each in turns, A B A B ..., with --label a and --label b, then compare label:a label:b.
At one load 5 repeats a side find a change of 5 % in 99 of 100 cases where runs of the same thing spread by 1 %, in 75
where they spread by 2 % (7 repeats: 93); of two sides that are the same they call 2 to 3 in 100 different.
Exit codes: 0 compared, 4 --fail-on met, 5 not comparable."""


def main(argv: list[str]) -> int:
    """Compare, or with ``--aa`` learn what repeats of the same thing differ by."""
    asked = _parser().parse(argv)
    if asked.aa:
        return _learn(asked)
    fail = fail_on(asked.fail_on)
    if asked.json and asked.md == "":
        raise UsageError("--json and --md both print to the screen", "write --md FILE")
    from inferometer.api.comparing import compared, given
    from inferometer.report.comparison import refusal
    from inferometer.report.tables.placing import check_free

    for name in filter(None, (asked.md, asked.html)):
        check_free(Path(name), overwrite=asked.overwrite)
    out = Path(asked.out)
    sides = [given(text, lambda name: find_run(name, asked.out), out) for text in asked.side]
    comparison = compared(
        sides,
        _settings(asked, [name for _, names in fail for name in names]),
        slos=asked.slo,
        names=asked.names,
        out=out,
    )
    if fail and comparison.comparable and not any(comparison.primary()):
        raise UsageError(
            "--fail-on: no figure that decides is known of both sides, so nothing could fail",
            "name one that both have, with --primary NAME or --fail-on worse:NAME",
        )
    written = _written(asked, comparison)
    if not (asked.json or asked.md == ""):
        _print(asked, comparison)
        for what, path in written:
            print(f"{what}  {path}")
    code = _exit_code(comparison, fail)
    if asked.json:
        print(_json(comparison, code))
    if not comparison.comparable:
        print("error: not comparable", file=sys.stderr)
        for line in refusal(comparison):
            print(f"  {line}", file=sys.stderr)
        print(
            "next: measure both sides alike, or compare all the same with --allow-different", file=sys.stderr
        )
    return code


def fail_on(texts: Sequence[str]) -> list[tuple[Word, list[str]]]:
    """What ``--fail-on`` asks for: words, each with names of figures (none = those that decide).

    Raises:
        UsageError: not a verdict.
    """
    found: list[tuple[Word, list[str]]] = []
    for text in texts:
        word, _, names = text.partition(":")
        if word not in ("worse", "unsure", "better", "same"):
            raise UsageError(
                f"--fail-on {text!r}: {word!r} is not a verdict",
                "write worse, or worse:p99_ttft,output_throughput; unsure too where doubt should stop you",
            )
        found.append((cast("Word", word), [name for name in names.split(",") if name]))
    return found


def share(text: str) -> float:
    """A share above 0 as a user writes it: ``2%`` or ``0.02``."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*(%?)\s*", text)
    try:
        number = float(found[1]) / (100.0 if found[2] else 1.0) if found else -1.0
    except ValueError:
        number = -1.0
    if not 0.0 < number < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1: write 2% or 0.02")
    return number


def _parser() -> Parser:
    parser = Parser("compare", _TEXT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="*", metavar="SIDE", help="see above; two or more")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument(
        "--names", nargs="+", default=[], metavar="NAME", help="what the sides are called, in order"
    )
    parser.add_argument(
        "--against", choices=("first", "previous"), default="first",
        help="what each side is held against: the first, or the one before it, as in a ladder of changes",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=_threshold, default=0.02, metavar="SHARE|auto",
        help="changes up to here count as none (default 2%%); auto: learned with --aa",
    )  # fmt: skip
    parser.add_argument(
        "--primary", type=_listed, default=[], metavar="NAME,NAME",
        help="figures that decide (default output_throughput and the highest proven percentiles of TTFT and TPOT)",
    )  # fmt: skip
    parser.add_argument(
        "--slo", nargs="+", default=[], metavar="LIMIT",
        help='limits as for run: "p99_ttft<=500ms" also compares at equal SLO; ttft:500 makes goodput',
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=share, metavar="SHARE",
        help="standard deviation from run to run / mean, where a side is one run and you know it",
    )  # fmt: skip
    parser.add_argument("--aa", nargs="+", metavar="RUN", help="learn the noise: repeats of the same thing")
    parser.add_argument(
        "--allow-different", action="store_true", help="compare although the gate is not passed"
    )
    parser.add_argument(
        "--fail-on", nargs="+", default=[], metavar="WORD[:NAME,NAME]",
        help="exit 4 on this verdict of these figures, which then decide: worse, worse:p99_ttft,output_throughput, "
        "unsure:p99_ttft",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="print all figures")
    parser.add_argument("--md", nargs="?", const="", metavar="FILE", help="Markdown for a pull request")
    parser.add_argument("--html", metavar="FILE", help="a page that opens offline")
    parser.add_argument(
        "--lang", choices=("en", "zh"), default="en", help="of the page, at first (default en)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser


def _settings(asked: argparse.Namespace, failing: Sequence[str]) -> Settings:
    from inferometer.metrics.comparing.compare import Settings

    return Settings(
        threshold=asked.threshold,
        primary=tuple(asked.primary),
        also_primary=tuple(failing),  # what stops a pipeline decides, and is corrected for
        noise=asked.noise,
        against=asked.against,
        allow_different=asked.allow_different,
    )


def _learn(asked: argparse.Namespace) -> int:
    from inferometer.api.comparing import learn_noise
    from inferometer.metrics.comparing.noise import NOISE_JSON
    from inferometer.report.comparison_noise import noise_json, noise_lines

    if asked.side:
        raise UsageError("--aa and sides to compare", "first --aa RUN, then compare A B --threshold auto")
    out = Path(asked.out)
    found = learn_noise(list(dict.fromkeys(find_run(name, asked.out) for name in asked.aa)), out)
    if asked.json:
        print(noise_json(found))
        return 0
    print("\n".join(noise_lines(found)))
    print(f"noise  {out / NOISE_JSON}")
    print("next  inferometer compare A B --threshold auto")
    return 0


def _print(asked: argparse.Namespace, comparison: Comparison) -> None:
    from inferometer.cli.outcome import colour
    from inferometer.report.comparison import comparison_lines

    print("\n".join(comparison_lines(comparison, everything=asked.all, colour=colour())))


def _written(asked: argparse.Namespace, comparison: Comparison) -> list[tuple[str, str]]:
    """The files that were asked for; Markdown without a file is printed."""
    from inferometer.report.tables.placing import place

    found = []
    if asked.md is not None:
        from inferometer.report.comparison_markdown import comparison_markdown

        text = comparison_markdown(comparison, everything=asked.all)
        if asked.md:
            place(Path(asked.md), text.encode(), overwrite=asked.overwrite)
            found.append(("markdown", asked.md))
        else:
            print(text, end="")
    if asked.html is not None:
        from inferometer.api.comparing import comparison_html

        html = comparison_html(comparison, Path(asked.out), asked.lang)
        place(Path(asked.html), html.encode(), overwrite=asked.overwrite)
        found.append(("page", asked.html))
    return found


def _exit_code(comparison: Comparison, fail: Sequence[tuple[Word, list[str]]]) -> int:
    from inferometer.metrics.comparing.compare import failing

    if not comparison.comparable:
        return NOT_COMPARABLE
    return REGRESSION if any(failing(comparison, [word], names) for word, names in fail) else 0


def _json(comparison: Comparison, code: int) -> str:
    import msgspec

    return msgspec.json.encode({**msgspec.to_builtins(comparison), "exit_code": code}).decode()


def _threshold(text: str) -> float | None:
    return None if text == "auto" else share(text)


def _listed(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
