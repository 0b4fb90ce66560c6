"""Pieces of shell script, as documents print them, taken apart into the commands they hold. Nothing is executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from inferometer.errors import UsageError
from inferometer.exchange.compat.signs import straightened

_BREAKS = frozenset({";", ";;", "&&", "||", "&", "|&"})
_REDIRECTIONS = re.compile(r"&?(>>?|<<?<?|>&|<&)&?|>\|")
_GRAMMAR = frozenset({"do", "done", "then", "fi", "else", "{", "}", "(", ")", "!"})
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-=?])([^}]*))?\})")
# In front of a command: how many words each takes besides its flags.
_WRAPPERS = {
    "nohup": 0, "time": 0, "sudo": 0, "exec": 0, "command": 0, "env": 0, "stdbuf": 0, "nice": 0, "numactl": 0,
    "setsid": 0, "timeout": 1, "taskset": 1, "srun": 0, "uvx": 0,
}  # fmt: skip
_WITH_VALUE = frozenset({"-n", "-u", "-C", "-m", "-N", "-k", "-s", "-w", "-o", "-e", "-i"})
_RUNNERS = (("uv", "run"), ("poetry", "run"), ("pipx", "run"), ("conda", "run"))
_PYTHON = re.compile(r"python(\d(\.\d+)?)?(\.exe)?|torchrun")
_HELD = "\ue000"  # stands for a `$(` while words are taken apart
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

    return _VARIABLE.sub(value, word)


def quoted(word: str) -> str:
    """A word for a shell; variables in it stay variables."""
    if not _VARIABLE.search(word) and "$(" not in word:
        return shlex.quote(word)
    escaped = re.sub(r'([\\"`])', r"\\\1", word)
    return f'"{escaped}"'


def _statements(text: str) -> Iterator[list[str]]:
    """Words of one statement after the other, operators among them."""
    # A page that lost its line ends leaves the backslashes in front of flags.
    text = re.sub(r"\\[ \t]*\n|\\[ \t]+(?=--?[A-Za-z])", " ", text)
    held = ""
    for raw in text.split("\n"):
        line = re.sub(r"^\s*(?:\$|>|%)\s+(?=\S)", "", raw) if not held else raw
        held = f"{held}\n{line}" if held else line
        try:
            words = _words(held)
        except ValueError:
            continue
        held = ""
        yield from _split(words)
    if held:
        raise UsageError(
            f"a quotation is not closed: {held.strip()[:60]} ...", "close it with the sign that opened it"
        )


def _words(line: str) -> list[str]:
    line = re.sub(r"(?<=\s)[012](?=>)", "", line).replace("$(", "$" + _HELD)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return [word.replace("$" + _HELD, "$(") for word in _kept_together(lexer)]


def _kept_together(lexer: shlex.shlex) -> list[str]:
    """The words of a line; what stands between ``$(`` and its ``)`` is one."""
    words: list[str] = []
    inside = False
    for word in lexer:
        if inside:
            words[-1] += word if word == ")" else f" {word}"
            inside = word != ")"
            continue
        words.append(word)
        inside = _HELD in word
    return words


def _split(words: list[str]) -> Iterator[list[str]]:
    statement: list[str] = []
    for word in words:
        if word in _BREAKS:
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
    if words and words[-1] in _BREAKS:
        if words[-1] == "&":
            notes.append("&: it is run in the foreground")
        words = words[:-1]
    if words[:1] == ["for"] and "in" in words[2:3]:
        variables[words[1]] = [value for word in words[3:] for value in _expanded(word, variables)]
        return None
    words = _without_output(words, notes)
    words, environment = _unwrapped(words, variables, notes)
    if not words:
        return None
    swept = [name for name, values in variables.items() if len(values) > 1 and _names(words, name)]
    return Command([each for word in words for each in _expanded(word, variables)], environment, notes, swept)


def _without_output(words: list[str], notes: list[str]) -> list[str]:
    """Words before a pipe, without redirections."""
    if "|" in words:
        at = words.index("|")
        notes.append(f"| {' '.join(words[at + 1 :])}: what a run reports is in its folder")
        words = words[:at]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif _REDIRECTIONS.fullmatch(word):
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
            words = _words(words[2])
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
        return known

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1] or match[2])
        if known is not None and len(known) == 1:
            return known[0]
        return match[4] if known is None and match[3] in ("-", ":-", "=", ":=") else match[0]

    return [_VARIABLE.sub(value, word)]


def _names(words: list[str], name: str) -> bool:
    return any(name in variables_in(word) for word in words)


def _base(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2]
