"""``inferometer compat``: another tool's command line in our words, printed or run."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from inferometer.cli.parse import Parser, parse_run
from inferometer.errors import InferometerError, UsageError
from inferometer.exchange.compat.convert import Converted, convert
from inferometer.exchange.compat.shell import executes, filled, plain, quoted
from inferometer.exchange.compat.signs import straightened
from inferometer.exchange.compat.tool import Kind, Remark
from inferometer.exchange.compat.tools import SENTENCES, tools

_TEXT = """Reads a command line of another load generator (a quoted line or script, words after --, or - for standard
input) and prints the inferometer command that puts the same load on the server: defaults of the other tool are written
out, and a comment says what became of every flag. What is printed is a shell script."""
_EXAMPLES = """examples:
  inferometer compat "vllm bench serve --model m --dataset-name random --random-input-len 512"
  inferometer compat -- evalscope perf --url http://127.0.0.1:8000/v1/chat/completions --parallel 1 10 --number 20 200
  inferometer compat "aiperf profile --model m --url 127.0.0.1:8000 --streaming --concurrency 16" --run --label first
  inferometer compat - < bench.sh > bench-inferometer.sh
Words behind --run (behind the line, if --run is first) go to the inferometer command. Variables that the text gives
no value ($host) stay variables; --run takes them from the environment. Nothing of the text is executed.
Exit code 2: nothing in it can be translated."""
_FLAGS = ("--list", "--json", "-q", "--quiet", "-h", "--help")
_RUN = "--run"
_WIDTH = 110
# Where a secret is looked for that must not be shown.
_SECRETS = {"--api-key": "OPENAI_API_KEY", "--app-code": "INFEROMETER_APP_CODE"}
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):([^/@$]+)(?=@)")
_SECRET_HEADER = re.compile(r"(?i)([\w-]*(?:auth|key|token|cookie|secret)[\w-]*): *(?!\$)(.+)")


@dataclass(frozen=True)
class _Asked:
    """What the command line of ``compat`` says.

    Attributes:
        text: the other tool's command line.
        extra: words behind ``--run``; None = it is printed and not run.
    """

    text: str
    flags: frozenset[str]
    extra: list[str] | None


def main(argv: list[str]) -> int:
    """Print or run the native command."""
    asked = _parsed(argv)
    if asked.flags & {"-h", "--help"}:
        _parser().print_help()
        return 0
    if "--list" in asked.flags:
        return _list("--json" in asked.flags)
    if not asked.text.strip():
        raise UsageError("there is no command line to translate", 'inferometer compat "vllm bench serve ..."')
    found = convert(asked.text)
    native = [each for each in found if each.argv]
    if not native:
        _refuse(found)
    if asked.extra is not None:
        return _run(native, asked.extra)
    problems = [_problem(each) for each in native]
    shown = [_without_secrets(each) for each in native]
    if "--json" in asked.flags:
        print(json.dumps(_machine(shown, problems, found), ensure_ascii=False))
    else:
        quiet = bool(asked.flags & {"-q", "--quiet"})
        print(
            "\n\n".join(_script(each, problem, quiet) for each, problem in zip(shown, problems, strict=True))
        )
        _tell_others(found, quiet)
    return 0


def _parser() -> Parser:
    """For its help alone: a foreign command line is no matter for a parser of flags."""
    import argparse

    parser = Parser("compat", _TEXT, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="the other tool's command line")
    parser.add_argument("--run", nargs="...", metavar="FLAGS", help="run it, with further flags of ours")
    parser.add_argument("--list", action="store_true", help="the tools that are known")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="the command alone, without comments")
    return parser


def _parsed(argv: Sequence[str]) -> _Asked:
    """Flags of ours stand before the command, and behind it when it is one quoted line."""
    words = list(argv)
    flags: set[str] = set()
    while words and words[0] in _FLAGS:
        flags.add(words.pop(0))
    first = words[:1] == [_RUN]
    words = words[1:] if first else words
    plain = words[:1] == ["--"]
    words = words[1:] if plain else words
    extra: list[str] | None = [] if first else None
    if _RUN in words and not first:
        at = words.index(_RUN)
        words, extra = words[:at], words[at + 1 :]
    elif first and not plain:  # --run "the line" FLAGS
        words, extra = words[:1], words[1:]
    lines = [word for word in words if word not in _FLAGS]
    one_text = not plain and (len(lines) < 2 or bool(re.search(r"\s", lines[0])))
    ours = [] if plain else lines if one_text else lines[:1]
    strange = next((line for line in ours if re.fullmatch(r"--?[A-Za-z][\w-]*(=\S*)?", line)), None)
    if strange is not None:
        raise UsageError(
            f"{strange} is no flag of inferometer compat",
            "put the other tool's line in quotation marks or behind --, and flags of inferometer run behind --run",
        )
    if not one_text:
        return _Asked(shlex.join(straightened(word) for word in words), frozenset(flags), extra)
    flags |= {word for word in words if word in _FLAGS}
    text = "\n".join(sys.stdin.read() if line == "-" else line for line in lines)
    return _Asked(text, frozenset(flags), extra)


def _list(as_json: bool) -> int:
    if as_json:
        listed = [
            {"tool": tool.title, "begins": tool.begins, "verb": tool.verb, "source": tool.source}
            for tool in tools()
        ]
        print(json.dumps({"tools": listed, "exit_code": 0}))
        return 0
    width = max(len(tool.title) for tool in tools()) + 2
    print(f"{'tool':<{width}}{'verb here':<12}flags read from")
    for tool in sorted(tools(), key=lambda tool: tool.title.lower()):
        print(f"{tool.title:<{width}}{tool.verb:<12}{tool.source}")
    others = ", ".join(begin for sentence in SENTENCES for begin in sentence.begins)
    print(textwrap.fill(f"\nTold what to use instead: {others}", _WIDTH))
    return 0


def _refuse(found: Sequence[Converted]) -> None:
    """Say why there is nothing to run.

    Raises:
        UsageError: always.
    """
    told = next((each for each in found if any(remark.kind is Kind.REFUSED for remark in each.remarks)), None)
    if told is not None:
        raise UsageError(f"{told.source} is not translated", told.remarks[0].text)
    names = ", ".join(dict.fromkeys(each.source for each in found))
    raise UsageError(
        f"no load test that is known here: {names[:200]}", "inferometer compat --list shows the tools"
    )


def _run(native: Sequence[Converted], extra: Sequence[str]) -> int:
    """Run the commands one after the other, until one fails."""
    from inferometer.cli.verbs import dispatch

    for each in native:
        if not_run := [word for word in each.argv if executes(word)]:
            raise UsageError(
                f"{plain(not_run[0])} is a command of the line, and none of it is executed",
                "write its result in its place; or print the translation and run that in a shell",
            )
        missing = [name for name in each.variables if name not in os.environ]
        if missing:
            told = [remark.text for remark in each.remarks if remark.kind is Kind.MISSING]
            step = "; ".join(told) or f"export {missing[0]}=..."
            raise UsageError(
                f"{' and '.join(missing)}: no value is known for what the command line names so", step
            )
        argv = [filled(word, dict(os.environ)) for word in each.argv]
        print(_command(_without_secrets(each).argv), file=sys.stderr)
        code = dispatch([*argv, *extra])
        if code:
            return code
    return 0


def _problem(each: Converted) -> InferometerError | None:
    """What our own parser has against the command; None also where a variable keeps it from looking."""
    from inferometer.cli.run import merged_from
    from inferometer.spec import load_points

    verb, *flags = each.argv
    if each.variables or any(map(executes, flags)) or verb not in ("run", "search"):
        return None
    flags = list(map(plain, flags))
    try:
        merged = merged_from(parse_run(flags, verb))
        if verb == "run":
            load_points(merged.spec)
    except InferometerError as error:
        return error
    return None


def _without_secrets(each: Converted) -> Converted:
    """The command with variables where keys stood."""
    words: list[str] = []
    names: list[str] = []
    for before, word in zip(["", *each.argv], each.argv, strict=False):
        secret = _SECRET_HEADER.fullmatch(word)
        flag, equals, _ = word.partition("=")
        if equals and flag in _SECRETS:
            names.append(_SECRETS[flag])
            words.append(f"{flag}=${names[-1]}")
        elif before in _SECRETS and not word.startswith("$"):
            names.append(_SECRETS[before])
            words.append(f"${names[-1]}")
        elif secret is not None:
            names.append(re.sub(r"\W", "_", secret[1].upper()))
            words.append(f"{secret[1]}: ${names[-1]}")
        elif _PASSWORD.search(word):
            names.append("PASSWORD")
            words.append(_PASSWORD.sub(r"\1:$PASSWORD", word))
        else:
            words.append(word)
    told = [
        Remark(Kind.MISSING, "", f"set {name}: what was given is not shown") for name in dict.fromkeys(names)
    ]
    variables = tuple(dict.fromkeys([*each.variables, *names]))
    return replace(each, argv=tuple(words), remarks=(*each.remarks, *told), variables=variables)


def _machine(
    shown: Sequence[Converted], problems: Sequence[InferometerError | None], found: Sequence[Converted]
) -> dict[str, object]:
    commands = [
        {
            "tool": each.tool,
            "argv": ["inferometer", *map(plain, each.argv)],
            "command": _command(each.argv, " "),
            "variables": each.variables,
            "remarks": [
                {"kind": one.kind.name.lower(), "word": one.word, "text": one.text} for one in each.remarks
            ],
            "problem": None if problem is None else str(problem),
        }
        for each, problem in zip(shown, problems, strict=True)
    ]
    others = [each.source for each in found if not each.argv]
    return {"commands": commands, "left_alone": others, "exit_code": 0}


def _script(each: Converted, problem: InferometerError | None, quiet: bool) -> str:
    """The command, and as comments what became of the other one's words."""
    lines = [_command(each.argv)]
    if quiet:
        return lines[0]
    lines.insert(0, f"# {each.tool}")
    if problem is not None:
        step = f"; {problem.next_step}" if problem.next_step else ""
        lines.append(_comment(f"as it stands this is refused: {problem.message}{step}", ""))
    order = list(Kind)
    for kind, remarks in groupby(
        sorted(each.remarks, key=lambda one: order.index(one.kind)), lambda one: one.kind
    ):
        lines += [f"# {kind.value}:", *_told(kind, list(remarks))]
    if each.view:
        lines.append(
            f"# {each.tool} would report of the same requests: inferometer report latest --as {each.view}"
        )
    return "\n".join(lines)


def _told(kind: Kind, remarks: Sequence[Remark]) -> list[str]:
    if kind is Kind.DEFAULT:
        return [_comment("  ".join(one.word for one in remarks), "  ")]
    if kind is Kind.RENAMED:
        return [_comment("; ".join(f"{one.word} {one.text}".strip() for one in remarks), "  ")]
    return [_comment(f"{one.word}: {one.text}" if one.word else one.text, "  ") for one in remarks]


def _comment(text: str, indent: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=f"# {indent}", subsequent_indent=f"# {indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _command(argv: Sequence[str], between: str = " \\\n    ") -> str:
    """One flag with its values a line."""
    parts: list[list[str]] = [["inferometer"]]
    for word in argv:
        if word.startswith("--"):
            parts.append([])
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        parts[-1].append(f"{name}={quoted(value)}" if equals else quoted(word))
    return between.join(" ".join(part) for part in parts)


def _tell_others(found: Sequence[Converted], quiet: bool) -> None:
    others = list(dict.fromkeys(each.source for each in found if not each.argv))
    if others and not quiet:
        print(_comment(f"left alone, as no load test: {'; '.join(others)}", ""))
