"""Pieces of shell script, as documents print them, taken apart into the commands they hold. Nothing is executed."""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from inferometer.errors import UsageError
from inferometer.exchange.compat.lexer import LITERAL, Lexer, Sign, substitutions
from inferometer.exchange.compat.signs import straightened

_BREAKS = frozenset({";", ";;", "&&", "||", "&", "|&"})
_REDIRECTIONS = re.compile(r"&?(>>?|<<?<?|>&|<&)&?|>\|")
_GRAMMAR = frozenset({"do", "done", "then", "fi", "else", "{", "}", "(", ")", "!"})
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:\[[@*]\])?(?:(:?[-=?])([^}]*))?\})")
_SUM = re.compile(r"\$\(\(([\w\s$+*/%(){}-]*)\)\)")
_COUNTED = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?\}")
_SEQUENCE = re.compile(r"\$\(\s*seq\s+(-?\d+)(?:\s+(-?\d+))?(?:\s+(-?\d+))?\s*\)")
_MOST_TURNS = 1000
# In front of a command: how many words each takes besides its flags.
_WRAPPERS = {
    "nohup": 0, "time": 0, "sudo": 0, "exec": 0, "command": 0, "env": 0, "stdbuf": 0, "nice": 0, "numactl": 0,
    "setsid": 0, "timeout": 1, "taskset": 1, "srun": 0, "uvx": 0,
}  # fmt: skip
_WITH_VALUE = frozenset({"-n", "-u", "-C", "-m", "-N", "-k", "-s", "-w", "-o", "-e", "-i"})
_RUNNERS = (("uv", "run"), ("poetry", "run"), ("pipx", "run"), ("conda", "run"))
_PYTHON = re.compile(r"python(\d(\.\d+)?)?(\.exe)?|torchrun")
_LIMIT = 100_000


@dataclass
class Command:
    """One command of a script.

    Attributes:
        words: program and arguments; variables that the script sets are replaced, others stand as they were.
        environment: variables that were set in front of it.
        notes: what around it was left out, one line each.
        swept: variables of loops around it that have several values and were put in.
    """

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    @property
    def program(self) -> list[str]:
        """The words without interpreter and directories: ``python3 benchmarks/x.py -a`` begins with ``x.py``."""
        words = list(self.words)
        if words and _PYTHON.fullmatch(_base(words[0])):
            words = words[1:]
            while words and words[0].startswith("-") and words[0] != "-m":
                words = words[1:]
            if words[:1] == ["-m"]:
                return words[1:]
        return [_base(words[0]), *words[1:]] if words else []


def commands(text: str) -> list[Command]:
    """The commands of a script, one after the other; loops are put into the values they go through.

    Raises:
        UsageError: a quotation that is not closed, or a text that is far too long to be a command line.
    """
    if len(text) > _LIMIT:
        raise UsageError(
            f"{len(text):,} characters are no command line", "give the lines of the load test alone"
        )
    variables: dict[str, list[str]] = {}
    found: list[Command] = []
    for words in _statements(straightened(text)):
        command = _command(words, variables)
        if command is not None:
            found.append(command)
    return found


def variables_in(word: str) -> list[str]:
    """Names of the shell variables in a word."""
    return [match[1] or match[2] for match in _VARIABLE.finditer(word)]


def filled(word: str, values: dict[str, str]) -> str:
    """A word with the values of its variables, those without one as they are."""

    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], match[0])

    return plain(_VARIABLE.sub(value, word))


def plain(word: str) -> str:
    """A word with the dollar signs that begin no variable."""
    return word.replace(LITERAL, "$")


def executes(word: str) -> bool:
    """Whether a shell would run a command for a part of the word."""
    return "$(" in word


def quoted(word: str) -> str:
    """A word for a shell; variables in it stay variables."""
    if not _VARIABLE.search(word) and "$(" not in word:
        return shlex.quote(plain(word))
    escaped = "".join(
        part if executes(part) else re.sub(r'([\\"`])', r"\\\1", part) for part in substitutions(word)
    )
    return '"' + escaped.replace(LITERAL, "\\$") + '"'


def _statements(text: str) -> Iterator[list[str]]:
    """Words of one statement after the other, operators among them."""
    # A page that lost its line ends leaves the backslashes in front of flags.
    text = re.sub(r"\\[ \t]*\n|\\[ \t]+(?=--?[A-Za-z])", " ", text)
    held = ""
    document = ""  # what ends the text that a command is fed with
    for raw in text.split("\n"):
        if document:
            document = "" if raw.strip() == document else document
            continue
        line = re.sub(r"^\s*(?:\$|>|%)\s+(?=\S)", "", raw) if not held else raw
        lasts = held and not re.search(r"""['"`)]""", line)  # nothing in it closes what is open
        held = f"{held}\n{line}" if held else line
        if lasts:
            continue
        try:
            words = Lexer(held).words()
        except ValueError:
            continue
        held = ""
        fed = [after for sign, after in pairwise(words) if isinstance(sign, Sign) and sign in ("<<", "<<-")]
        document = fed[-1] if fed else ""
        yield from _split(words)
    if held:
        raise UsageError(
            f"a quotation is not closed: {held.strip()[:60]} ...", "close it with the sign that opened it"
        )


def _split(words: list[str]) -> Iterator[list[str]]:
    statement: list[str] = []
    for word in words:
        if isinstance(word, Sign) and word in _BREAKS:
            yield [*statement, word]
            statement = []
        else:
            statement.append(word)
    yield statement


def _command(words: list[str], variables: dict[str, list[str]]) -> Command | None:
    """The command of one statement; None where it is an assignment, a loop's head or nothing."""
    while words and words[0] in _GRAMMAR:
        words = words[1:]
    notes: list[str] = []
    while words and isinstance(words[-1], Sign) and words[-1] in _BREAKS | {")"}:
        if words[-1] == "&":
            notes.append("&: it is run in the foreground")
        words = words[:-1]
    if words[:1] == ["for"] and "in" in words[2:3]:
        variables[words[1]] = [value for word in words[3:] for value in _gone_through(word, variables)]
        return None
    if (listed := _list(words, variables)) is not None:
        variables.update(listed)
        return None
    words = _without_output(words, notes)
    words, environment = _unwrapped(words, variables, notes)
    if not words:
        return None
    swept = [name for name, values in variables.items() if len(values) > 1 and _names(words, name)]
    return Command([each for word in words for each in _expanded(word, variables)], environment, notes, swept)


def _without_output(words: list[str], notes: list[str]) -> list[str]:
    """Words before a pipe, without redirections."""
    pipe = next((at for at, word in enumerate(words) if isinstance(word, Sign) and word == "|"), None)
    if pipe is not None:
        notes.append(f"| {' '.join(words[pipe + 1 :])}: what a run reports is in its folder")
        words = words[:pipe]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif isinstance(word, Sign) and _REDIRECTIONS.fullmatch(word):
            skip = True
            note = "redirections: what a run reports is in its folder"
            notes += [] if note in notes else [note]
        else:
            kept.append(word)
    return kept


def _unwrapped(
    words: list[str], variables: dict[str, list[str]], notes: list[str]
) -> tuple[list[str], dict[str, str]]:
    """Words from the program on, and the variables set in front; assignments alone go into ``variables``."""
    environment: dict[str, str] = {}
    while words:
        if words[0] in ("export", "declare", "local", "set") and len(words) > 1:
            words = [word for word in words[1:] if _ASSIGNED.fullmatch(word)]
            continue
        assigned = _ASSIGNED.fullmatch(words[0])
        name = _base(words[0])
        if assigned:
            environment[assigned[1]] = "".join(_expanded(assigned[2], variables)[:1])
            words = words[1:]
        elif tuple(words[:2]) in _RUNNERS:
            words = _behind_flags(words[2:])
        elif name in _WRAPPERS and len(words) > 1:
            notes.append(f"{name}: put it in front again where it is wanted")
            words = _behind_flags(words[1:])[_WRAPPERS[name] :]
        elif name in ("bash", "sh") and words[1:2] == ["-c"] and len(words) > 2:
            words = Lexer(words[2].replace(LITERAL, "$")).words()
        else:
            return words, environment
    variables.update((key, [value]) for key, value in environment.items())
    return [], {}


def _behind_flags(words: list[str]) -> list[str]:
    """Words behind the flags of a wrapper, and behind the values that some of them take."""
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in _WITH_VALUE and len(words) > 1 else words[1:]
    return words


def _expanded(word: str, variables: dict[str, list[str]]) -> list[str]:
    """A word with the variables of the script put in: several words where a loop's variable is all of it."""
    whole = _VARIABLE.fullmatch(word)
    if whole and (known := variables.get(whole[1] or whole[2])) is not None:
        # `$ARGS` holds flags; another value with spaces is most likely one in quotation marks.
        return known[0].split() if len(known) == 1 and known[0].startswith("-") else known
    if (total := _SUM.fullmatch(word)) and (sums := _sums(total[1], variables)):
        return sums

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[2])
        if known is not None and len(known) == 1:
            return known[0]
        return match[4] if known is None and match[3] in ("-", ":-", "=", ":=") else match[0]

    return [_VARIABLE.sub(value, word)]


def _gone_through(word: str, variables: dict[str, list[str]]) -> list[str]:
    """The values that a loop takes from one word of its head."""
    counted, sequence = _COUNTED.fullmatch(word), _SEQUENCE.fullmatch(word)
    if counted:
        first, last = int(counted[1]), int(counted[2])
        step = abs(int(counted[3] or 1)) * (1 if last >= first else -1)
    elif sequence:
        numbers = [int(each) for each in sequence.groups() if each]
        first, step, last = {1: [1, 1, *numbers], 2: [numbers[0], 1, numbers[-1]]}.get(len(numbers), numbers)
    elif re.fullmatch(r"\{[^{},]*(,[^{},]*)+\}", word):
        return word[1:-1].split(",")
    else:
        values = _expanded(word, variables)
        return [part for value in values for part in value.split()] if _VARIABLE.search(word) else values
    if step == 0 or abs(last - first) // abs(step) >= _MOST_TURNS:
        return [word]
    return [str(number) for number in range(first, last + (1 if step > 0 else -1), step)]


def _list(words: list[str], variables: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """``NAME=(a b c)``; None = it is none."""
    head = [word for word in words if word not in ("declare", "local", "export", "-a")]
    if len(head) < 2 or not re.fullmatch(r"[A-Za-z_]\w*=", head[0]) or not isinstance(head[1], Sign):
        return None
    if head[1] != "(":
        return None
    values = [
        value for word in head[2:] if not isinstance(word, Sign) for value in _expanded(word, variables)
    ]
    return {head[0][:-1]: values}


def _sums(text: str, variables: dict[str, list[str]]) -> list[str]:
    """``$((n * 10))`` for each value of its variables; nothing where they are not known or go through several lists."""
    names = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text))
    known = {name: variables.get(name, []) for name in names}
    lists = [values for values in known.values() if len(values) > 1]
    if (
        not all(known.values())
        or len(lists) > 1
        or not all(v.isdecimal() for each in known.values() for v in each)
    ):
        return []
    bare = re.sub(r"[${}]", "", text)
    found: list[str] = []
    for at in range(len(lists[0]) if lists else 1):
        values = {name: each[at] if len(each) > 1 else each[0] for name, each in known.items()}
        filled_in = re.sub(r"[A-Za-z_]\w*", lambda name, values=values: values[name[0]], bare)  # type: ignore[misc]
        try:
            found.append(str(_computed(ast.parse(filled_in.strip(), mode="eval").body)))
        except (SyntaxError, ValueError, ZeroDivisionError):
            return []
    return found


def _computed(node: ast.expr) -> int:
    """A sum of whole numbers, as a shell computes it: division cuts towards 0."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_computed(node.operand)
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATORS:
        raise ValueError("no sum")
    return _OPERATORS[type(node.op)](_computed(node.left), _computed(node.right))


def _divided(left: int, right: int) -> int:
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.Mod: lambda left, right: left - right * _divided(left, right),
}


def _names(words: list[str], name: str) -> bool:
    return any(
        name in variables_in(word)
        or any(re.search(rf"\b{name}\b", found[1]) for found in _SUM.finditer(word))
        for word in words
    )


def _base(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2]
