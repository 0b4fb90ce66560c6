"""From a command line of another tool to ours, with a word on everything that was in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from inferometer.errors import UsageError
from inferometer.exchange.compat import sla, speed
from inferometer.exchange.compat.aliases import ALIASES, Fixed, Needless, Refused
from inferometer.exchange.compat.shell import Command, commands, variables_in
from inferometer.exchange.compat.tool import Call, Handled, Kind, Remark, Sentence, Tool
from inferometer.exchange.compat.tools import SENTENCES, tools
from inferometer.exchange.compat.translate import Group, Translation, split, translate
from inferometer.spec.options import options

_OURS = "inferometer"
# Flags that change what others of the same line mean, or do with them: translated together, never alone.
_TOGETHER = frozenset(
    {"--host", "--port", "--gsp-prompts-per-group", "--random-range-ratio", "--range-ratio-as"}
    | {
        name
        for name, alias in ALIASES.items()
        if getattr(alias, "flag", "") in ("--prefix-len", "--input-dist", "--output-dist")
    }
)
_ENGINE_VARIABLES = re.compile(r"(CUDA|ASCEND|HIP|ROCR|NPU|VLLM|SGLANG|NCCL|HCCL|PYTORCH|OMP)_\w*")
_SECRET = re.compile(r"key|token|secret|credential|connection-string|auth|header", re.IGNORECASE)
_CARRIERS = ("docker", "podman", "nerdctl", "kubectl", "oc", "singularity", "apptainer")
_ON_A_HUB = re.compile(r"\w[\w.-]*/[\w.-]+")
_HUB_VARIABLES = ("HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "VLLM_USE_MODELSCOPE", "MODELSCOPE_CACHE")


@dataclass(frozen=True)
class Converted:
    """One command of the text that was given.

    Attributes:
        source: its program, as it was written.
        tool: whose it is; None = nothing that puts load on a server.
        argv: our verb and its flags; empty where there is nothing sensible to run.
        remarks: what became of its words.
        variables: names of shell variables in ``argv`` that the text gives no value.
        view: of ``report --as`` that recomputes the tool's numbers.
    """

    source: str
    tool: str | None
    argv: tuple[str, ...]
    remarks: tuple[Remark, ...] = ()
    variables: tuple[str, ...] = ()
    view: str = ""


def convert(text: str) -> list[Converted]:
    """Every command of a text, in its order; those that are no load test have no ``argv`` but a remark.

    Raises:
        UsageError: the text is no command line, or holds nothing that is known.
    """
    found = [_converted(command) for command in commands(text)]
    if not found:
        raise UsageError(
            "there is no command in it", 'write inferometer compat "vllm bench serve --model ..."'
        )
    return found


def _converted(command: Command) -> Converted:
    command = _carried(command)
    program = command.program
    tool = _tool_of(program)
    if tool is None:
        return _not_a_load_test(command, program)
    begin = max((each for each in tool.begins if _begins(program, each)), key=lambda each: len(each.split()))
    words, passed_on = program[len(begin.split()) :], list[str]()
    if "--" in words:
        words, passed_on = words[: words.index("--")], words[words.index("--") :]
    call = Call(_named(split(words), tool))
    if passed_on:
        call.say(Kind.UNKNOWN, " ".join(passed_on), "is for another program that the tool calls")
    for note in command.notes:
        call.say(Kind.LEFT_OUT, "", note)
    _tell_environment(command.environment, call)
    given = [group.name for group in call.theirs if group.name]
    tool.settle(call)
    _tell_silent(given, call)
    theirs = [group for group in (_of_tool(group, tool, call) for group in call.theirs) if group is not None]
    if len(command.swept) > 1:
        call.put("--pair", "grid")
    verb = call.verb or tool.verb
    argv = _with_tokenizer_file(_argv(verb, [*theirs, *call.ours], call), call)
    found = dict.fromkeys(name for word in argv for name in variables_in(word))
    return Converted(begin, tool.title, (*verb.split(), *argv), tuple(call.remarks), tuple(found), tool.view)


def _carried(command: Command) -> Command:
    """The command that ``docker exec NAME`` and the like carry into a container."""
    if not command.program or command.program[0] not in _CARRIERS:
        return command
    for at in range(1, len(command.words)):
        inner = replace(command, words=command.words[at:])
        if _tool_of(inner.program) is not None:
            inner.notes = [*command.notes, f"{' '.join(command.words[:at])}: the load is sent from here"]
            return inner
    return command


def _tool_of(program: Sequence[str]) -> Tool | None:
    """Whose command it is: the longest beginning, then the most flags that only it has."""
    fits = [
        (len(begin.split()), len(tool.signs & {word.partition("=")[0] for word in program}), tool)
        for tool in tools()
        for begin in tool.begins
        if _begins(program, begin)
    ]
    return max(fits, key=lambda fit: fit[:2])[2] if fits else None


def _begins(program: Sequence[str], begin: str) -> bool:
    words = begin.split()
    return list(program[: len(words)]) == words


def _not_a_load_test(command: Command, program: Sequence[str]) -> Converted:
    name = program[0] if program else ""
    sentence: Sentence | None = next(
        (each for each in SENTENCES if any(_begins(program, begin) for begin in each.begins)), None
    )
    if name == _OURS:
        return Converted(name, _OURS, tuple(program[1:]), variables=tuple(_unset(program[1:])))
    if sentence is not None:
        begin = next(begin for begin in sentence.begins if _begins(program, begin))
        return Converted(begin, None, (), (Remark(Kind.REFUSED, begin, sentence.text),))
    shown = " ".join(command.words[:2])
    return Converted(shown, None, (), (Remark(Kind.UNKNOWN, shown, "is no load test that is known here"),))


def _unset(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name for word in words for name in variables_in(word)))


def _tell_environment(environment: dict[str, str], call: Call) -> None:
    for name in environment:
        if name in _HUB_VARIABLES:
            call.differs(f"set it here too (export {name}=...), if something is fetched from a hub", name)
        elif _ENGINE_VARIABLES.fullmatch(name):
            call.say(
                Kind.LEFT_OUT, name, "is for an engine; with --launch give it as --launch-env NAME=VALUE"
            )
        else:
            call.say(Kind.LEFT_OUT, name, "means nothing here")


def _tell_silent(given: Sequence[str], call: Call) -> None:
    """Every word is spoken for: also what a tool's own rules took together without a word of their own."""
    told = {
        word for remark in call.remarks if remark.kind is not Kind.DEFAULT for word in remark.word.split()
    }
    left = {group.name for group in call.theirs}
    for name in dict.fromkeys(given):
        if name not in told and name not in left:
            call.say(Kind.RENAMED, name, "is read together with other flags")


def _named(groups: list[Group], tool: Tool) -> list[Group]:
    """Groups with the whole names of their flags: ``--num_prompts`` and ``--num-prompt`` are ``--num-prompts``."""
    return [Group(_whole(group.name, tool), group.values) for group in groups]


def _whole(name: str, tool: Tool) -> str:
    dashed = name.replace("_", "-")
    if not name or name in tool.names:
        return name
    if dashed in tool.names:
        return dashed
    near = (
        [known for known in tool.names if known.startswith(dashed)]
        if tool.short and dashed.startswith("--")
        else []
    )
    return near[0] if len(near) == 1 else name


def _of_tool(group: Group, tool: Tool, call: Call) -> Group | None:
    """A flag as the verb's own translation understands it; None = done with."""
    entry = tool.own.get(group.name)
    shown = " ".join([group.name, *group.values]).strip() if _fits(group) else group.name
    if not group.name:
        call.say(Kind.UNKNOWN, " ".join(group.values), f"{tool.title} takes no words without a flag")
        return None
    if entry is None and group.name in tool.shared:
        return group
    if entry is None:
        call.say(Kind.UNKNOWN, group.name, f"is no flag that is known of {tool.title} ({tool.source})")
    elif isinstance(entry, Refused):
        call.say(Kind.REFUSED, shown, f"{entry.why}; {entry.instead}" if entry.instead else entry.why)
    elif isinstance(entry, Needless):
        call.say(Kind.LEFT_OUT, group.name, entry.why)
    elif isinstance(entry, Handled):
        raise AssertionError(f"{tool.title}: {group.name} was left by its own table")
    elif isinstance(entry, Fixed):
        call.put(entry.argv[0], *entry.argv[1:])
        call.say(Kind.RENAMED, group.name, f"is {' '.join(entry.argv)}")
    else:
        values = [entry.values.get(value, value) or "" for value in group.values]
        call.put(entry.flag, *values)
        call.say(Kind.RENAMED, group.name, f"is {entry.flag}")
    return None


def _fits(group: Group) -> bool:
    """Whether its value may be shown: short, and no secret by its name."""
    return (
        not _SECRET.search(group.name)
        and len(group.values) <= 1
        and all(len(each) < 40 for each in group.values)
    )


def _argv(verb: str, groups: list[Group], call: Call) -> list[str]:
    """Our flags, in the order of our own help."""
    words = Translation(list(groups)).argv()
    if verb == "speed":
        words, hints = speed.translated(words, ())
        _tell_hints(hints, call)
    if verb not in ("run", "search"):
        return words
    if verb == "search":
        words, hints = sla.translated(words)
        _tell_hints(hints, call)
    kept = [group for group in split(words) if _translates(group, call, verb)]
    translation = translate(Translation(kept).argv(), _searched() if verb == "search" else ())
    _tell_hints(translation.hints, call)
    return Translation(_ordered(translation.groups)).argv()


def _ordered(groups: Sequence[Group]) -> list[Group]:
    """Flags in the order of our help, each list in one place."""
    found: dict[str, Group] = {}
    shapes = {option.flag: option.shape for option in options().values()}
    for group in groups:
        if group.name in found and shapes.get(group.name) in ("list", "texts"):
            found[group.name] = Group(group.name, [*found[group.name].values, *group.values])
        else:
            found[group.name] = group
    order = {flag: number for number, flag in enumerate(shapes)}
    return sorted(found.values(), key=lambda group: order.get(group.name, len(order)))


def _with_tokenizer_file(argv: list[str], call: Call) -> list[str]:
    """Tools fetch a tokenizer by its name on a hub; here it is a file, which has to be there."""
    words = list(argv)
    for at, (flag, value) in enumerate(pairwise(argv), start=1):
        if flag == "--tokenizer" and _ON_A_HUB.fullmatch(value) and not Path(value).exists():
            words[at] = "$TOKENIZER"
            call.say(Kind.MISSING, flag, f"set TOKENIZER: the directory of {value}, or its tokenizer.json")
    return words


def _searched() -> Collection[str]:
    return [option.flag for option in options().values() if option.part == "search"]


def _translates(group: Group, call: Call, verb: str) -> bool:
    """Whether the shared table has an equivalent; if not, that is told."""
    if group.name in _TOGETHER or (verb == "search" and group.name in _searched()):
        return True
    try:
        translate(Translation([group]).argv())
    except UsageError as error:
        told = f"{error.message.removeprefix(group.name).lstrip(': ')}"
        call.say(Kind.REFUSED, group.name, f"{told}; {error.next_step}" if error.next_step else told)
        return False
    return True


def _tell_hints(hints: Sequence[str], call: Call) -> None:
    """Hints of the shared translation as remarks: ``--isl is --input-len here``."""
    for hint in hints:
        word, _, text = hint.partition(" is ")
        if (word.startswith("-") and " " not in word.strip()) or text.endswith(" here"):
            needless = text.startswith("not needed")
            kind = Kind.LEFT_OUT if needless else Kind.RENAMED
            call.say(
                kind,
                word,
                (text.partition(": ")[2] or "it is so without it")
                if needless
                else f"is {text.removesuffix(' here')}",
            )
        else:
            call.say(Kind.RENAMED, "", hint)
