"""Rules of a server that is started for the run, and what of its command line and environment may be shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from inferometer.spec.launch import Launch
from inferometer.spec.model import RunSpec
from inferometer.spec.options import SECRET_MARK
from inferometer.spec.problems import Problem
from inferometer.spec.url import USER_IN_URL

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
# How names of flags and variables that hold a secret end: HF_TOKEN, --api-key, but not --max-num-batched-tokens.
_SECRET_ENDS = frozenset(
    {"token", "secret", "password", "passwd", "key", "keys", "apikey", "credential", "credentials", "auth"}
)
_NO_SECRETS = frozenset({"bos", "eos", "pad", "unk", "stop", "image", "partition", "sort"})  # --eos-token
_MOST_CORE = 65_535


def launch_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself about a launched server; what its command line means is for the engines to say."""
    launch = spec.launch
    if launch.command is None:
        yield from _without_command(launch)
        return
    yield from _command(launch.command)
    if spec.endpoint.more_url:
        yield Problem(
            "--launch starts one server, and --more-url names others that would take turns with it",
            "start all of them beforehand (inferometer launch), and give --url and --more-url",
        )
    if spec.cluster.nodes is not None:
        yield Problem(
            "--launch starts a server for this machine alone, and --nodes sends load from others too",
            "start it beforehand: inferometer launch ENGINE MODEL --host 0.0.0.0, and give --url http://HOST:PORT",
        )
    try:
        parse_cores(launch.cores or "")
    except ValueError as error:
        yield Problem(
            f"--launch-cores {launch.cores!r}: {error}", "write numbers and ranges: --launch-cores 0-3,8"
        )
    yield from _variables(launch.env)


def _without_command(launch: Launch) -> Iterator[Problem]:
    given = {
        "--launch-cores": launch.cores is not None,
        "--launch-env": bool(launch.env),
        "--unchecked": launch.unchecked,
        "--launch-timeout": launch.ready_limit_s != Launch().ready_limit_s,
    }
    for flag in (flag for flag, is_given in given.items() if is_given):
        yield Problem(
            f"{flag} is for a server that the run starts, and there is none", f"give --launch, or drop {flag}"
        )


def _command(command: str) -> Iterator[Problem]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        yield Problem(
            f"--launch cannot be split into words: {error}", "quote it for the shell once, as a whole"
        )
        return
    if all(_VARIABLE.match(word) for word in words):
        yield Problem(
            "--launch names no program", 'give --launch "vllm serve MODEL", or --launch "llamacpp tiny"'
        )


def _variables(texts: Sequence[str]) -> Iterator[Problem]:
    names = [text.partition("=")[0] for text in texts]
    for text, name in zip(texts, names, strict=True):
        if not _VARIABLE.match(text):
            yield Problem(f"--launch-env {name!r} is not NAME=VALUE", "write --launch-env NAME=VALUE")
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Problem(f"--launch-env gives {name} more than once", "keep one of them")


def variables_of(launch: Launch) -> dict[str, str]:
    """The environment variables of ``--launch-env`` by name; they have passed ``launch_problems``."""
    pairs = (text.partition("=") for text in launch.env)
    return {name: value for name, _, value in pairs}


def parse_cores(text: str) -> tuple[int, ...]:
    """The cores of a list such as ``0-3,8``, as ``taskset -c`` takes it; none of an empty text.

    Raises:
        ValueError: it is no such list.
    """
    cores: set[int] = set()
    for part in text.replace(" ", "").split(",") if text.strip() else ():
        if not re.fullmatch(r"\d{1,5}(-\d{1,5})?", part, re.ASCII):
            raise ValueError(f"{part!r} is no core and no range of cores")
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if not span or span[-1] > _MOST_CORE:
            raise ValueError(f"the range {part} is empty" if not span else f"there is no core {span[-1]}")
        cores.update(span)
    return tuple(sorted(cores))


def cores_text(cores: Iterable[int]) -> str:
    """Cores as ``parse_cores`` takes them, neighbours as ranges: ``0-3,8``."""
    spans: list[list[int]] = []
    for core in sorted(cores):
        if spans and spans[-1][-1] == core - 1:
            spans[-1].append(core)
        else:
            spans.append([core])
    return ",".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)


def is_secret(name: str) -> bool:
    """Whether the name of a flag or variable says that its value is not to be shown."""
    words = re.split(r"[-_.]+", name.strip("-").lower())
    return words[-1] in _SECRET_ENDS and not _NO_SECRETS.intersection(words)


def shown_variable(text: str) -> str:
    """``NAME=VALUE`` as it may be shown and stored."""
    name, sign, _ = text.partition("=")
    return f"{name}={SECRET_MARK}" if sign and is_secret(name) else USER_IN_URL.sub(SECRET_MARK, text)


def shown_words(words: Sequence[str]) -> list[str]:
    """The words of a command line as they may be shown and stored: ``--api-key ***``, ``HF_TOKEN=***``."""
    shown: list[str] = []
    hide = several = False
    for word in words:
        hidden = hide and not word.startswith("--")
        shown.append(SECRET_MARK if hidden else shown_variable(word))
        hide = (word.startswith("-") and "=" not in word and is_secret(word)) or (hidden and several)
        several = hide and (several if hidden else word.lower().endswith("s"))  # LMDeploy's --api-keys A B
    return shown


def shown_command(command: str) -> str:
    """A command line as it may be shown and stored; as it was typed where it holds no secret."""
    try:
        words = shlex.split(command)
    except ValueError:
        return SECRET_MARK
    shown = shown_words(words)
    return (
        command
        if shown == words
        else " ".join(word if SECRET_MARK in word else shlex.quote(word) for word in shown)
    )
