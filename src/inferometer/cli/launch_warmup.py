"""``inferometer launch warmup``: wakes every rank of a service and says which are slow or dead."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.parse import Parser
from inferometer.errors import EndpointError, UsageError
from inferometer.spec.fields import as_list, as_seconds

if TYPE_CHECKING:
    from inferometer.engines.nodes.warmup import Asked, Woken

_TEXT = """Asks every rank for its models and for one short answer, so that the first measured request is not the first
one that the engine sees. Says which ranks are slow beside the others, and which do not answer."""
_MORE = """The ranks are those of a plan (FILE), of --url, or of --hosts a,b --ranks 32: ranks fill one host after the
other, each --port-step above the one before. Exit code 0: all answered; 6: some did not. Slow is an answer that took
more than --slow-factor times the median of all ranks, and 100 ms more than it; the exit code stays 0."""


def main(argv: list[str]) -> int:
    """Wake the ranks, one line each."""
    from inferometer.api.planning import warm_up
    from inferometer.cli.signals import stopping
    from inferometer.loadgen.stop import StopSignal

    given = _parser().parse(argv)
    urls, asked = _urls(given), _asked(given)
    stop = StopSignal()
    if not given.quiet:
        print(f"waking {len(urls)} rank{'s' if len(urls) > 1 else ''}", file=sys.stderr, flush=True)
    with stopping(stop, 0.0, "the ranks that are awake stay so"):
        woken = warm_up(urls, asked, stop, lambda one: print(line_of(one), flush=True), _credentials(given))
    print("\n".join(summary_lines(woken)))
    dead = [one for one in woken if one.state == "dead"]
    error = _dead_error(dead, len(woken)) if dead and not given.allow_missing else None
    if given.json:
        import msgspec

        code = 0 if error is None else error.exit_code
        print(json.dumps({"ranks": msgspec.to_builtins(woken), "exit_code": code}, ensure_ascii=False))
    if error is None:
        return 0
    if not given.json:
        raise error
    print(
        f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr
    )  # the JSON line is printed already
    return error.exit_code


def line_of(one: Woken) -> str:
    """``rank 3   http://n0:23363  models 12 ms  first answer 812 ms  attempt 1  ok``."""
    times = f"models {_ms(one.models_ms)}  first answer {_ms(one.answer_ms)}"
    reason = f": {one.reason}" if one.reason else ""
    return f"rank {one.rank:<3} {one.url}  {times}  attempt {one.attempts}  {one.state}{reason}"


def summary_lines(woken: Sequence[Woken]) -> list[str]:
    """How many are awake; which are slow beside all others, and which dead."""
    answers = [one.answer_ms for one in woken if one.answer_ms is not None]
    median = (
        f"; first answer: median {statistics.median(answers):.0f} ms, longest {max(answers):.0f} ms"
        if answers
        else ""
    )
    awake = sum(one.state != "dead" for one in woken)
    lines = [f"awake  {awake} of {len(woken)} ranks{median}"]
    for state in ("slow", "dead"):
        some = [one for one in woken if one.state == state]
        lines += [f"{state}   rank {one.rank}  {one.url}  {one.reason}" for one in some]
    return lines


def _dead_error(dead: Sequence[Woken], count: int) -> EndpointError:
    names = ", ".join(str(one.rank) for one in dead)
    which = f"rank {names} does" if len(dead) == 1 else f"ranks {names} do"
    return EndpointError(
        f"{which} not answer ({len(dead)} of {count})",
        "see the logs of their nodes; --allow-missing takes what is there",
    )


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f} ms"


def _parser() -> Parser:
    from inferometer.engines.nodes.warmup import Asked

    default = Asked()
    parser = Parser("launch warmup", _TEXT, epilog=_MORE)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a plan, as launch plan --out writes it")
    parser.add_argument("--url", nargs="+", action="extend", metavar="URL", help="addresses of the ranks")
    parser.add_argument(
        "--hosts", nargs="+", action="extend", metavar="HOST", help="hosts of the ranks: n0,n1"
    )
    parser.add_argument("--ranks", type=int, metavar="N", help="how many ranks are on all hosts together")
    parser.add_argument(
        "--base-port", type=int, default=23333, metavar="PORT", help="port of rank 0 (default 23333)"
    )
    parser.add_argument(
        "--port-step", type=int, default=10, metavar="N", help="from a rank's port to the next (default 10)"
    )
    parser.add_argument("--model", metavar="NAME", help="model to ask (default: the first that a rank lists)")
    parser.add_argument("--prompt", default=default.prompt, metavar="TEXT", help="what each rank is asked")
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=default.answer_tokens,
        metavar="N",
        help="longest answer (default 20)",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        default=default.concurrency,
        metavar="N",
        help="ranks asked at the same time (default 64); ranks that share experts answer only together",
    )
    parser.add_argument(
        "--timeout", default=default.limit_s, metavar="TIME", help="longest time of an attempt (default 120s)"
    )
    parser.add_argument(
        "--retries", type=int, default=default.attempts - 1, metavar="N", help="further attempts (default 2)"
    )
    parser.add_argument(
        "--pause", default=default.pause_s, metavar="TIME", help="between attempts (default 2s)"
    )
    parser.add_argument(
        "--slow-factor", type=float, default=default.slow_factor, metavar="X", help="see below (default 3)"
    )
    parser.add_argument("--allow-missing", action="store_true", help="exit with 0 even if some do not answer")
    parser.add_argument("--api-key", metavar="KEY", help="bearer token; else environment OPENAI_API_KEY")
    parser.add_argument("--api-key-file", metavar="FILE", help="file that holds it")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no word before the first rank")
    return parser


def _urls(given: Any) -> tuple[str, ...]:
    from inferometer.api.planning import plan_urls
    from inferometer.engines.nodes.ranks import pattern_urls

    ways = [
        name
        for name, value in (("FILE", given.file), ("--url", given.url), ("--hosts", given.hosts))
        if value
    ]
    if len(ways) != 1:
        both = f"{' and '.join(ways)} name ranks twice" if ways else "no ranks are named"
        raise UsageError(both, "give a plan file, or --url URL ..., or --hosts a,b --ranks N")
    if given.file:
        return plan_urls(Path(given.file))
    if given.url:
        return tuple(as_list(given.url))
    if given.ranks is None:
        raise UsageError(
            "--hosts without --ranks", "say how many ranks are on all hosts together: --ranks 32"
        )
    return pattern_urls(as_list(given.hosts), given.ranks, given.base_port, given.port_step)


def _asked(given: Any) -> Asked:
    from inferometer.engines.nodes.warmup import Asked

    least = (
        ("--concurrency", given.concurrency, 1),
        ("--retries", given.retries, 0),
        ("--max-tokens", given.max_tokens, 1),
        ("--slow-factor", given.slow_factor, 1),
    )
    for flag, value, fewest in least:
        if not value >= fewest:
            raise UsageError(f"{flag} {value}: it has to be at least {fewest}", f"correct {flag}")
    return Asked(
        concurrency=given.concurrency,
        limit_s=_seconds("--timeout", given.timeout),
        attempts=given.retries + 1,
        pause_s=_seconds("--pause", given.pause),
        slow_factor=given.slow_factor,
        prompt=given.prompt,
        answer_tokens=given.max_tokens,
        model=given.model,
    )


def _seconds(flag: str, text: object) -> float:
    try:
        value = float(as_seconds(text))
    except ValueError as error:
        raise UsageError(f"{flag} {text}: {error}", f"write {flag} 30s") from None
    if not 0 <= value < float("inf") or (flag == "--timeout" and value == 0):
        raise UsageError(f"{flag} {text}: it has to be a time", f"write {flag} 30s")
    return value


def _credentials(given: Any) -> dict[str, str]:
    if given.api_key_file is not None:
        return {"api_key_file": given.api_key_file}
    key = given.api_key or os.environ.get("OPENAI_API_KEY")
    return {"api_key": key} if key else {}
