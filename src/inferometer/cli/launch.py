"""``inferometer launch``: start an engine, wait until it answers, keep it until Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.cli.parse import Parser
from inferometer.errors import UsageError
from inferometer.spec.fields import as_seconds
from inferometer.spec.launch_rules import cores_text, parse_cores

if TYPE_CHECKING:
    from inferometer.api.launching import Order, Outlined
    from inferometer.engines.start import RunningEngine

_SUBVERBS = {"plan": "launch_plan", "warmup": "launch_warmup"}
_LOOK_S = 1.0
_USAGE = """inferometer launch ENGINE MODEL [flags] [-- flags of the engine]
       inferometer launch "vllm serve MODEL ..." [flags]"""
_TEXT = """Starts an engine, waits until it has answered a request, says what it is, and ends it with everything it
started at Ctrl-C, or when this command ends in any other way. Its command line is shown first."""
_MORE = """\
engines: vllm, sglang, lmdeploy, tgi, mindie, llamacpp (extra engine: pip install 'inferometer[engine]'),
         sim (simulated), command (any command line after --, with {port} and {host} in it where it needs them)

several nodes: inferometer launch plan --help (Ray, torchrun-style ranks, containers)
               inferometer launch warmup --help (wakes every rank)

Examples
  inferometer launch llamacpp tiny --port 0
  inferometer launch vllm Qwen/Qwen2.5-7B-Instruct --tp 2 --max-model-len 8192 -- --enforce-eager
  inferometer launch "vllm serve Qwen/Qwen2.5-7B-Instruct -tp 2" --cores 0-15 --warmup 4
  inferometer launch sglang /models/Qwen2.5-7B-Instruct --dry-run
  inferometer launch command --port 9000 -- ./serve.sh --listen {host}:{port}

Exit code 0: ended by Ctrl-C after it was ready; 130: before; 2: it did not start, or ended by itself (why is said).
To start, measure and stop in one command: inferometer run --launch "..."
"""


def main(argv: list[str]) -> int:
    """Start an engine and keep it; or hand over to ``plan`` or ``warmup``."""
    if argv and argv[0] in _SUBVERBS:
        module = importlib.import_module(f"inferometer.cli.{_SUBVERBS[argv[0]]}")
        return int(module.main(argv[1:]))
    from inferometer.engines.words import divided

    words, dashes, raw = divided(argv)
    _refuse_raw_line(argv)
    asked = vars(_parser().parse(words))
    if asked["engine"] is None:
        raise UsageError(
            "no engine is named", "inferometer launch llamacpp tiny; see `inferometer launch --help`"
        )
    order = _order(asked, raw if dashes else None)
    from inferometer.api import launching

    if not asked["dry_run"]:
        order = launching.placed(order)
    outlined = launching.outlined(order)
    if asked["dry_run"]:
        return _dry_run(order, outlined, asked["json"])
    if not asked["quiet"]:
        for line in _outline_lines(outlined):
            print(line, file=sys.stderr, flush=True)
    return _launch(order, asked)


def _parser() -> Parser:
    from inferometer.engines.words import add_flags

    parser = Parser(
        "launch",
        _TEXT,
        usage=_USAGE,
        epilog=_MORE,
        formatter_class=lambda prog: _Help(prog, max_help_position=40),
    )
    parser.add_argument(
        "engine", nargs="?", metavar="ENGINE", help="its name, or a whole command line in quotes"
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="directory, name on a hub, or GGUF file")
    add_flags(parser.add_argument_group("settings, each written as the engine's own flag"))
    ours = parser.add_argument_group("launch")
    ours.add_argument(
        "--cores", metavar="LIST", type=_cores, default=(), help="CPU cores that it is kept on: 0-3,8"
    )
    ours.add_argument(
        "--launch-timeout",
        metavar="TIME",
        type=_time,
        default="30m",
        help="longest wait for its first answer (default 30m)",
    )
    ours.add_argument(
        "--warmup", metavar="N", type=_count, default=0, help="answers to ask for when it is ready"
    )
    ours.add_argument(
        "--out", metavar="DIR", default="launches", help="where logs are kept (default launches)"
    )
    ours.add_argument(
        "--unchecked", action="store_true", help="start it although its model's files say that it will fail"
    )
    ours.add_argument("--dry-run", action="store_true", help="show the command line, and start nothing")
    ours.add_argument(
        "--json", action="store_true", help="a JSON object when it is ready, another at the end"
    )
    ours.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows our own name of each flag; those of the engines are understood, too."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        from inferometer.engines.words import FLAGS

        if action.dest not in FLAGS:
            return super()._format_action_invocation(action)
        first, *others = action.option_strings
        value = "" if action.nargs == 0 else f" {action.metavar}"
        short = [flag for flag in others if len(flag) < 6][:2]
        return f"{', '.join([first, *short])}{value}"


def _order(asked: dict[str, Any], raw: list[str] | None) -> Order:
    from inferometer.api.launching import Order
    from inferometer.engines.words import COMMAND, command_settings, engine_of, open_engine, settings_from

    name, model = asked["engine"], asked["model"]
    if any(sign in name for sign in " \t="):
        if model is not None:
            raise UsageError(
                f"unexpected argument {model!r}",
                "write the whole command line in one pair of quotes, or none",
            )
        engine, settings = engine_of(name)
        settings = settings_from(asked, tuple(raw or ()), settings)
    elif name == COMMAND:
        engine = open_engine(name)
        settings = command_settings(engine, asked, raw)
    else:
        engine = open_engine(name)
        if model is None:
            raise UsageError(f"{name}: no model is named", f"inferometer launch {name} MODEL")
        settings = settings_from(asked, tuple(raw or ()))
    return Order(
        engine=engine,
        settings=settings,
        out=Path(asked["out"]),
        cores=asked["cores"],
        ready_limit_s=asked["launch_timeout"],
        unchecked=asked["unchecked"],
    )


def _cores(text: str) -> tuple[int, ...]:
    try:
        return parse_cores(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; write it as in 0-3,8") from None


def _time(text: str) -> float:
    try:
        seconds = float(as_seconds(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} leaves no time to start")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of answers: 0 or more")
    return int(text)


def _refuse_raw_line(argv: list[str]) -> None:
    """Refuse ``launch vllm serve MODEL ...``, of which nobody could tell our flags from those of the engine.

    Raises:
        UsageError: it is such a line.
    """
    from inferometer.engines import ENGINES
    from inferometer.engines.words import open_engine

    if len(argv) < 3 or argv[0] not in ENGINES.names() or argv[1].startswith("-"):
        return
    if open_engine(argv[0]).settings((argv[0], argv[1], "MODEL")) is not None and argv[0] != "command":
        raise UsageError(
            f"{argv[0]} {argv[1]} begins a command line of the engine itself",
            f'write it in quotes: inferometer launch "{argv[0]} {argv[1]} ..."; or as: launch {argv[0]} MODEL',
        )


def _outline_lines(outlined: Outlined) -> list[str]:
    lines = [f"$ {outlined.line}"]
    for path, text in outlined.command.files.items():
        lines += [f"writes {path}, and removes it at the end", *(f"  {line}" for line in text.splitlines())]
    lines += [f"note: {caution.message}; {caution.next_step}" for caution in outlined.known.cautions]
    needs = outlined.known.needs
    if needs is not None and needs.weights_bytes is not None:
        kept = (
            ""
            if needs.kv_bytes_per_token is None
            else f", {needs.kv_bytes_per_token:,} bytes of KV cache a token"
        )
        lines.append(f"needs {_size(needs.weights_bytes)} for its weights{kept}")
    return lines


def _size(number: int) -> str:
    size, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.4g} {unit}"


def _dry_run(order: Order, outlined: Outlined, as_json: bool) -> int:
    """Show what would be started; exit code 2 when the model's files say that it would fail."""
    refusals = outlined.known.refusals
    if as_json:
        from inferometer.engines.shown import shown_env
        from inferometer.spec.launch_rules import shown_words

        said = {
            "engine": order.engine.name,
            "argv": shown_words(outlined.command.argv),
            "env": shown_env(outlined.command.env),
            "files": outlined.command.files,
            "refusals": [{"message": one.message, "next_step": one.next_step} for one in refusals],
            "exit_code": 2 if refusals else 0,
        }
        print(json.dumps(said, ensure_ascii=False))
    else:
        print(outlined.line)
        for line in _outline_lines(outlined)[1:]:
            print(line, file=sys.stderr)
        for one in refusals:
            print(f"would fail: {one.message}", file=sys.stderr)
        for step in dict.fromkeys(one.next_step for one in refusals):
            print(f"next: {step}", file=sys.stderr)
    return 2 if refusals else 0


def _launch(order: Order, asked: dict[str, Any]) -> int:
    from inferometer.api import launching
    from inferometer.cli.outcome import terminal
    from inferometer.cli.signals import stopping
    from inferometer.engines.process import GRACE_S
    from inferometer.loadgen.stop import StopSignal

    stop = StopSignal()
    redraw = terminal() and not asked["quiet"]

    def tell(text: str) -> None:
        if not asked["quiet"]:
            print(
                f"\r\x1b[K{text}" if redraw else text, end="" if redraw else "\n", file=sys.stderr, flush=True
            )

    said = f"ending {order.engine.name}, which has {GRACE_S:g} s; press Ctrl-C again to end it at once"
    with stopping(stop, GRACE_S, said):
        with launching.launch(order, stop, tell) as running:
            if redraw:
                print("\r\x1b[K", end="", file=sys.stderr)
            answers_s = running.warm(asked["warmup"]) if asked["warmup"] else []
            _show_ready(running, order, answers_s, asked["json"])
            while not stop.level and running.wait(_LOOK_S) is None:
                pass
            ended = running.explained()
        if ended is not None:
            raise ended
    ending = running.ending()
    if asked["json"]:
        print(json.dumps({"ended": ending, "log": str(running.log), "exit_code": 0}))
    elif not asked["quiet"]:
        print(f"{order.engine.name} has ended, with {ending}; log  {running.log}", file=sys.stderr)
    return 0


def _show_ready(running: RunningEngine, order: Order, answers_s: list[float], as_json: bool) -> None:
    facts = running.facts
    measure = _measure_line(running)
    if as_json:
        import msgspec

        said = {
            "url": running.url,
            "model": running.model,
            "pid": running.pid,
            "ready_s": round(running.ready_s, 3),
            "facts": msgspec.to_builtins(facts),
            "warmup_s": answers_s,
            "log": str(running.log),
            "next": measure,
        }
        print(json.dumps(said, ensure_ascii=False), flush=True)
        return
    holds = [
        *([] if facts.max_model_len is None else [f"up to {facts.max_model_len:,} tokens"]),
        *(
            []
            if facts.max_num_seqs is None
            else [f"{facts.max_num_seqs:,} sequence{'s' * (facts.max_num_seqs != 1)} at a time"]
        ),
    ]
    blocks = (
        ""
        if facts.kv_blocks is None
        else f" ({facts.kv_blocks:,} blocks"
        + ("" if facts.kv_block_tokens is None else f" of {facts.kv_block_tokens}")
        + ")"
    )
    rows = {
        order.engine.name: f"{running.url}  ready after {running.ready_s:.1f} s",
        "version": facts.version or "",
        "model": "  ".join([running.model, *([", ".join(holds)] if holds else [])]),
        "KV cache": "" if facts.kv_tokens is None else f"{facts.kv_tokens:,} tokens{blocks}",
        "cores": cores_text(order.cores),
        "warm-up": ", ".join(f"{seconds:.3f}" for seconds in answers_s) + (" s" if answers_s else ""),
        "pid": str(running.pid),
        "log": str(running.log),
    }
    for name, text in rows.items():
        if text:
            print(f"{name:<10}{text}", flush=True)
    print(f"next      {measure}      Ctrl-C ends the engine", file=sys.stderr, flush=True)


def _measure_line(running: RunningEngine) -> str:
    backend = "" if running.dialect == "openai-chat" else f" --backend {running.dialect}"
    key = "" if running.api_key is None else " --api-key KEY"
    tls = " --insecure" if running.url.startswith("https:") else ""
    return f"inferometer run --url {running.url}{tls}{backend}{key}"
