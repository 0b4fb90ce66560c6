"""What is known of one tool's command line, and the call that it is worked out in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from inferometer.exchange.compat.aliases import Fixed, Needless, Refused, Rename
from inferometer.exchange.compat.shell import plain
from inferometer.exchange.compat.translate import Group


class Kind(str, Enum):
    """What a remark is about; the values head the remarks that are printed, in this order."""

    RENAMED = "called otherwise here"
    DEFAULT = "defaults of the tool, written out"
    LEFT_OUT = "left out, because it is not needed"
    REFUSED = "no equivalent, left out"
    UNKNOWN = "not known, left out"
    DIFFERS = "meaning differs"
    MISSING = "cannot be known from the command line"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know about a translation.

    Attributes:
        word: of the original line (or of ours, for a default); empty = about all of it.
    """

    kind: Kind
    word: str
    text: str


class Handled:
    """Marks names that a tool's ``settle`` works out together with others."""


HANDLED = Handled()
Entry = Rename | Fixed | Needless | Refused | Handled


@dataclass
class Call:
    """One command line of a tool, while it is worked out.

    Attributes:
        theirs: flags as the tool names them; the first may have no name and hold words before all flags.
        ours: flags in our own words.
        remarks: what there is to know.
        verb: of ours that does it, where that depends on the flags; empty = the tool's.
    """

    theirs: list[Group]
    ours: list[Group] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    verb: str = ""

    def __contains__(self, name: str) -> bool:
        return any(group.name == name for group in self.theirs)

    def values(self, *names: str) -> list[str]:
        """All values given by one of these names; the groups stay."""
        return [value for group in self.theirs if group.name in names for value in group.values]

    def value(self, *names: str) -> str | None:
        """The last value given by one of these names; None = not given."""
        values = self.values(*names)
        return values[-1] if values else None

    def take(self, *names: str) -> list[str] | None:
        """The values, and the groups are done with; None = not given."""
        if not any(name in self for name in names):
            return None
        values = self.values(*names)
        self.theirs = [group for group in self.theirs if group.name not in names]
        return values

    def taken(self, *names: str) -> str | None:
        """As ``take``, the last value alone; empty for a switch."""
        values = self.take(*names)
        return None if values is None else (values[-1] if values else "")

    def put(self, flag: str, *values: str) -> None:
        """A flag of ours; one of that name that was put before is replaced."""
        self.ours = [group for group in self.ours if group.name != flag]
        self.ours.append(Group(flag, list(values)))

    def replace(self, name: str, flag: str, *values: str) -> None:
        """Their flag becomes ours, and that is told."""
        self.take(name)
        self.put(flag, *values)
        self.say(Kind.RENAMED, name, f"is {' '.join([flag, *values])}")

    def default(self, flag: str, *values: str, unless: Iterable[str] = ()) -> None:
        """What the tool does when nothing is said, written out, unless one of these names (or ``flag``) is given."""
        given = {group.name for group in (*self.theirs, *self.ours)}
        if given & {flag, *unless}:
            return
        self.put(flag, *values)
        self.say(Kind.DEFAULT, " ".join([flag, *values]), "")

    def say(self, kind: Kind, word: str, text: str) -> None:
        """Add a remark, once."""
        remark = Remark(kind, plain(word), plain(text))
        if remark not in self.remarks:
            self.remarks.append(remark)

    def differs(self, text: str, word: str = "") -> None:
        """Something means another thing there and here."""
        self.say(Kind.DIFFERS, word, text)

    def drop(self, why: str, *names: str) -> None:
        """Leave flags out, with the reason."""
        for name in names:
            if self.take(name) is not None:
                self.say(Kind.LEFT_OUT, name, why)

    def refuse(self, name: str, why: str, instead: str) -> None:
        """Leave a flag out that has no equivalent, with what to use."""
        self.take(name)
        self.say(Kind.REFUSED, name, f"{why}; {instead}" if instead else why)

    def missing(self, flag: str, variable: str, what: str) -> None:
        """A value that is nowhere in the line becomes a shell variable to be set."""
        self.put(flag, f"${variable}")
        self.say(Kind.MISSING, flag, f"set {variable}: {what}")

    def into_body(self, body_of: Mapping[str, str], given_as: str = "--extra-body") -> None:
        """Sampling flags that have no flag here, as fields of ``--extra-body``, which the tool may call otherwise."""
        fields: dict[str, object] = {}
        for name, key in body_of.items():
            value = self.taken(name)
            if value is None:
                continue
            fields[key] = _json(value) if value else True
            self.say(Kind.RENAMED, name, f"is the field {key} of --extra-body")
        if not fields:
            return
        given = self.taken(given_as)
        known = _json(given) if given else {}
        if not isinstance(known, dict):
            self.refuse(given_as, "it is no JSON object", "write --extra-body JSON")
            known = {}
        merged = json.dumps({**known, **fields, **known})  # the body has the last word, as in vLLM
        if given is None:
            self.put("--extra-body", merged)
        else:
            self.theirs.append(Group(given_as, [merged]))


Settle = Callable[[Call], None]


@dataclass(frozen=True)
class Tool:
    """A load generator that people have command lines of.

    Attributes:
        title: as people write it.
        begins: how its command lines begin, without interpreter and directories.
        shared: names that mean what the verb's own translation makes of them.
        own: names that are this tool's, or mean something of their own in it.
        settle: writes its defaults out and works out what flags mean together.
        verb: of ours that does it.
        signs: flags that tell it from another tool with the same beginning.
        view: of ``report --as`` that recomputes its numbers; empty = there is none.
        short: the tool takes the beginning of a flag's name for the name.
        source: what its names were read from.
    """

    title: str
    begins: tuple[str, ...]
    shared: frozenset[str]
    own: Mapping[str, Entry]
    settle: Settle
    source: str
    verb: str = "run"
    signs: frozenset[str] = frozenset()
    view: str = ""
    short: bool = True

    @property
    def names(self) -> frozenset[str]:
        """All its flags that are known."""
        return self.shared | self.own.keys()


@dataclass(frozen=True)
class Sentence:
    """A command that is not translated, and what to use instead."""

    begins: tuple[str, ...]
    text: str


def rows(*entries: tuple[str, Entry]) -> dict[str, Entry]:
    """A table from lines of names, separated by spaces, and what they are."""
    return {name: entry for names, entry in entries for name in names.split()}


def words(text: str) -> frozenset[str]:
    """Names from a text that holds them, separated by spaces and line ends."""
    return frozenset(text.split())


def _json(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
