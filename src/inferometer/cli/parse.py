"""Parsers made from the spec: every field is a flag, and whatever is wrong becomes one UsageError."""

from __future__ import annotations

import argparse
import difflib
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from inferometer.errors import UsageError
from inferometer.exchange.compat.aliases import ALIASES, Rename
from inferometer.exchange.compat.sla import translated
from inferometer.exchange.compat.translate import Translation, translate
from inferometer.spec.layers import Layer
from inferometer.spec.options import Option, options

SEARCH = "search"
SIMULATE = "simulate"
_VERBS = ("run", SEARCH, SIMULATE)
# Parts of the spec whose flags some verbs have, and no others.
_OF_VERBS = {"search": (SEARCH, SIMULATE), "simulation": (SIMULATE,)}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError, and suggests the nearest flag."""

    def __init__(self, verb: str, text: str, **settings: Any) -> None:
        super().__init__(prog=f"inferometer {verb}", description=text, allow_abbrev=False, **settings)
        self.verb = verb

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and exiting."""
        text = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        raise UsageError(text, f"see `{self.prog} --help`")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """The parsed flags; unknown ones are refused with a suggestion."""
        found, rest = self.parse_known_args(argv)
        if rest:
            self._refuse(rest)
        return found

    def _refuse(self, rest: list[str]) -> NoReturn:
        strange = next((word for word in rest if re.match(r"--?[A-Za-z]", word)), None)
        if strange is None:
            is_url = self.verb in _VERBS and "://" in rest[0]
            step = f"write --url {rest[0]}" if is_url else f"see `{self.prog} --help`"
            raise UsageError(f"unexpected argument {rest[0]!r}", step)
        name = strange.partition("=")[0]
        known = [flag for action in self._actions for flag in action.option_strings]
        if self.verb in _VERBS:
            known += ALIASES
        near = difflib.get_close_matches(name, known, n=1)
        if not near:
            everything = "--help-all" if self.verb in _VERBS else "--help"
            raise UsageError(f"unknown flag {name}", f"see `{self.prog} {everything}`")
        alias = ALIASES.get(near[0]) if self.verb in _VERBS else None
        means = f" (which is {alias.flag})" if isinstance(alias, Rename) and alias.flag != near[0] else ""
        raise UsageError(f"unknown flag {name}", f"did you mean {near[0]}{means}?")


@dataclass(frozen=True)
class Asked:
    """A parsed command line of ``run``, ``search`` or ``simulate``.

    Attributes:
        flags: the values given as flags, with the names they were given by.
        hints: what the names of other tools are called here.
        resume: the run to go on with; None = a new one.
        redo: which of its finished load points to measure again; empty = all, None = none.
        force: go on with it although something is not as it was.
    """

    flags: Layer
    hints: list[str]
    config: str | None
    preset: str | None
    dry_run: bool
    json: bool
    quiet: bool
    resume: str | None = None
    redo: tuple[str, ...] | None = None
    force: bool = False


def parse_run(argv: list[str], verb: str = "run") -> Asked:
    """Parse the flags of ``run``, or those of ``search`` or ``simulate`` besides, peers' names included.

    Raises:
        UsageError: unknown or refused flags, missing or superfluous values.
    """
    own = options_of(verb)
    words, hints = translated(argv) if verb in _OF_VERBS["search"] else (argv, [])
    translation = translate(words, {option.flag for option in own if option.part in _OF_VERBS})
    parser = run_parser(verb)
    found = vars(parser.parse(translation.argv()))
    flags = {dotted: found[dotted] for dotted in options() if dotted in found}
    given = {"--redo": found["redo"] is not None, "--force": found["force"]}
    stray = [flag for flag, is_given in given.items() if is_given and found["resume"] is None]
    if stray:
        raise UsageError(
            f"{' and '.join(stray)}: there is no run to go on with",
            "name it: --resume RUN, or --resume latest",
        )
    return Asked(
        flags=Layer(flags, {dotted: _origin(options()[dotted], translation, flags) for dotted in flags}),
        hints=[*hints, *translation.hints],
        config=found["config"],
        preset=found["preset"],
        dry_run=found["dry_run"],
        json=found["json"],
        quiet=found["quiet"],
        resume=found["resume"],
        redo=None if found["redo"] is None else tuple(found["redo"]),
        force=found["force"],
    )


def options_of(verb: str) -> list[Option]:
    """The options that are flags of ``run``, ``search`` or ``simulate``."""
    return [option for option in options().values() if verb in _OF_VERBS.get(option.part, _VERBS)]


def run_parser(verb: str = "run") -> Parser:
    """The parser of ``run``, ``search`` or ``simulate``; a flag that is not given leaves no trace."""
    parser = Parser(verb, "", add_help=False, argument_default=argparse.SUPPRESS)
    for option in options_of(verb):
        add_option(parser, option)
    parser.add_argument("-c", "--config", default=None)
    parser.add_argument("--preset", default=None)
    parser.add_argument("--resume", nargs="?", const="latest", default=None)
    parser.add_argument("--redo", nargs="*", action="extend", default=None)
    parser.add_argument("--force", action="store_true", default=False)
    parser.add_argument("--dry-run", action="store_true", default=False)
    parser.add_argument("--json", action="store_true", default=False)
    parser.add_argument("-q", "--quiet", action="store_true", default=False)
    return parser


def add_option(parser: Parser, option: Option) -> None:
    """Make ``option`` a flag of ``parser``; when it is not given, it leaves no trace if the parser is made so."""
    about: dict[str, Any] = {"dest": option.dotted, "help": option.text.replace("%", "%%")}
    shown = option.metavar or None
    if option.shape == "switch":
        parser.add_argument(option.flag, action="store_const", const=True, **about)
        negative = "--no-" + option.flag.removeprefix("--")
        parser.add_argument(negative, dest=option.dotted, action="store_const", const=False)
    elif option.shape in ("list", "texts"):
        parser.add_argument(option.flag, nargs="+", action="extend", metavar=shown, **about)
    else:
        parser.add_argument(option.flag, metavar=shown, **about)


def _origin(option: Option, translation: Translation, flags: dict[str, Any]) -> str:
    flag = option.flag
    if option.shape == "switch" and flags[option.dotted] is False:
        flag = "--no-" + flag.removeprefix("--")
    return f"flag {translation.spelled.get(flag, flag)}"
