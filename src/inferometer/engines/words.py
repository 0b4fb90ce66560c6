"""Command lines of engines as a user writes them: the engine's own, or ``ENGINE MODEL [flags] [-- raw flags]``."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from inferometer.engines import ENGINES
from inferometer.engines.engine import Engine, Settings
from inferometer.errors import UsageError

COMMAND = "command"
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

# Flags of each field of Settings: ours first, then what the engines call it.
FLAGS: dict[str, tuple[str, ...]] = {
    "served_name": ("--served-model-name", "--alias"),
    "host": ("--host", "--server-name"),
    "port": ("--port", "--server-port"),
    "tensor_parallel": ("--tensor-parallel-size", "--tp", "-tp", "--tp-size", "--num-shard"),
    "pipeline_parallel": ("--pipeline-parallel-size", "--pp", "-pp", "--pp-size"),
    "data_parallel": ("--data-parallel-size", "--dp", "-dp", "--dp-size"),
    "expert_parallel": ("--enable-expert-parallel",),
    "max_model_len": ("--max-model-len", "--context-length", "--session-len", "--max-total-tokens"),
    "max_num_seqs": ("--max-num-seqs", "--max-running-requests", "--max-batch-size", "--parallel"),
    "max_num_batched_tokens": (
        "--max-num-batched-tokens",
        "--chunked-prefill-size",
        "--max-prefill-token-num",
        "--max-batch-prefill-tokens",
    ),
    "memory_share": ("--gpu-memory-utilization", "--mem-fraction-static", "--cache-max-entry-count"),
    "kv_cache_dtype": ("--kv-cache-dtype",),
    "dtype": ("--dtype",),
    "quantization": ("--quantization",),
    "prefix_cache": ("--enable-prefix-caching",),
    "trust_remote_code": ("--trust-remote-code",),
    "devices": ("--devices",),
    "env": ("--env",),
}
_MEANINGS = {
    "served_name": "the name that requests give",
    "host": "address to listen at (default 127.0.0.1)",
    "port": "port; 0 takes a free one (default 8000)",
    "tensor_parallel": "devices that each layer is spread over",
    "pipeline_parallel": "groups of devices that layers are dealt to",
    "data_parallel": "copies of the model",
    "expert_parallel": "spread experts over the ranks",
    "max_model_len": "most tokens of prompt and answer",
    "max_num_seqs": "most sequences in a step",
    "max_num_batched_tokens": "most tokens in a step",
    "memory_share": "share of the device's memory that the engine may take, 0 to 1",
    "kv_cache_dtype": "type of the KV cache, as the engine names it",
    "dtype": "type of the weights, as the engine names it",
    "quantization": "as the engine names it",
    "prefix_cache": "compute full blocks of prompts once",
    "trust_remote_code": "run code of the model's repository",
    "devices": "devices it may use, by number: 0,1",
    "env": "environment variable of the engine",
}
_OFF = {"prefix_cache": "--no-enable-prefix-caching", "expert_parallel": "--no-enable-expert-parallel"}
_METAVARS = {"env": "NAME=VALUE", "devices": "LIST", "host": "ADDRESS", "memory_share": "SHARE"}
_COUNTS = (
    "port",
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
)
_NUMBERS: dict[str, type] = {"memory_share": float, **dict.fromkeys(_COUNTS, int)}


def engine_of(text: str) -> tuple[Engine, Settings]:
    """The engine that a command line starts, and its settings.

    ``vllm serve M -tp 2`` is recognised by its adapter; ``llamacpp M --max-num-seqs 8 -- --threads 2`` names the
    engine as ``launch`` does; anything else is carried out as it is. Assignments before the program, as of a shell,
    become environment variables.

    Raises:
        UsageError: quotes that do not close, nothing at all, or flags that an engine named as of launch lacks.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"--launch {text!r}: {error}", "close every quote, as a shell would need it"
        ) from None
    env = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    if not words:
        raise UsageError(
            f"--launch {text!r} names no program",
            'write as in a shell: --launch "vllm serve MODEL --port 8000"',
        )
    engine, settings = recognised(tuple(words))
    return engine, msgspec.structs.replace(settings, env={**settings.env, **env})


def recognised(argv: tuple[str, ...]) -> tuple[Engine, Settings]:
    """The engine and settings of ``argv``; see ``engine_of``."""
    is_name = argv[0] in ENGINES.names()
    for name in (argv[0],) if is_name else ENGINES.names():
        engine = open_engine(name)
        settings = engine.settings(argv) if name != COMMAND else None
        if settings is not None:
            return engine, settings
    if is_name:
        return named(argv[0], list(argv[1:]))
    engine = open_engine(COMMAND)
    settings = engine.settings(argv)
    assert settings is not None  # it takes anything
    return engine, settings


def named(name: str, words: list[str]) -> tuple[Engine, Settings]:
    """The engine of that name with the settings of ``MODEL [flags] [-- raw flags]``.

    Raises:
        UsageError: no such engine, no model, or a flag or value that is none.
    """
    engine = open_engine(name)
    parser = _Parser(name)
    add_flags(parser)
    if name != COMMAND:
        parser.add_argument("model")
    ours, dashes, raw = divided(words)
    found = vars(parser.parse_args(ours))
    if name == COMMAND:
        return engine, command_settings(engine, found, raw if dashes else None)
    return engine, settings_from(found, tuple(raw))


def command_settings(engine: Engine, found: dict[str, Any], raw: list[str] | None) -> Settings:
    """The settings of a command line that is carried out as it is: address and port are looked for in it.

    Args:
        engine: the one called ``command``.
        found: parsed flags.
        raw: the command line; None = there was no ``--``.

    Raises:
        UsageError: there is none.
    """
    if not raw:
        raise UsageError(
            "command: no command line is given", "write it after --: command --port 8000 -- PROGRAM ..."
        )
    seen = engine.settings(tuple(raw))
    assert seen is not None  # it takes anything
    return settings_from(found, (), seen)


def open_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    engine: Engine = ENGINES.get(name)()
    return engine


def divided(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Words before and after the first ``--``, and whether there is one."""
    if "--" not in words:
        return list(words), False, []
    at = list(words).index("--")
    return list(words[:at]), True, list(words[at + 1 :])


def add_flags(parser: Any) -> None:
    """The flags of all settings; one that is not given leaves no trace."""
    for name, flags in FLAGS.items():
        about: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": _MEANINGS[name]}
        if name in _OFF:
            parser.add_argument(*flags, action="store_true", **about)
            parser.add_argument(
                _OFF[name], dest=name, default=argparse.SUPPRESS, action="store_false", help="do not"
            )
        elif name == "trust_remote_code":
            parser.add_argument(*flags, action="store_true", **about)
        elif name == "env":
            parser.add_argument(*flags, action="append", metavar=_METAVARS[name], **about)
        else:
            parser.add_argument(
                *flags,
                type=_NUMBERS.get(name, str),
                metavar=_METAVARS.get(name, "N" if name in _NUMBERS else "NAME"),
                **about,
            )


def settings_from(found: dict[str, Any], raw: tuple[str, ...], plain: Settings | None = None) -> Settings:
    """Settings from parsed flags.

    Args:
        found: values by field; what is not in it is not said.
        raw: flags of the engine itself, put last.
        plain: what holds where a flag says nothing; None = the defaults, with ``model`` from ``found``.

    Raises:
        UsageError: a value out of range, or an environment variable without ``=``.
    """
    given = {name: found[name] for name in FLAGS if name in found}
    for name, value in given.items():
        least = 0 if name in ("port", "memory_share") else 1
        if name in _NUMBERS and not value >= least:
            raise UsageError(
                f"{FLAGS[name][0]} {value} must be at least {least}", "give more, or leave it out"
            )
    if not 0 < given.get("memory_share", 1.0) <= 1:
        raise UsageError(
            f"{FLAGS['memory_share'][0]} {given['memory_share']} is no share above 0 and up to 1",
            "write 0.9 for nine tenths",
        )
    if given.get("port", 0) > 65535:
        raise UsageError(
            f"--port {given['port']} is above 65535", "take one from 1024 to 65535, or 0 for a free one"
        )
    plain = plain or Settings(model=found.get("model") or "")
    given["env"] = {**plain.env, **environment(given.get("env", ()), "--env")}
    return msgspec.structs.replace(plain, **given, extra=(*plain.extra, *raw))


def environment(texts: Sequence[str], flag: str) -> dict[str, str]:
    """Variables written as NAME=VALUE.

    Raises:
        UsageError: one has no ``=``. The message does not repeat a value.
    """
    for text in texts:
        if not _ASSIGNMENT.match(text):
            raise UsageError(
                f"{flag} {text.partition('=')[0]!r} is no NAME=VALUE", f"write {flag} NAME=VALUE"
            )
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


class _Parser(argparse.ArgumentParser):
    """Parses the words after an engine's name; raises in place of printing and exiting."""

    def __init__(self, engine: str) -> None:
        super().__init__(prog=engine, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise, with the nearest flag."""
        text = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        strange = re.search(r"unrecognized arguments: (--?[\w-]+)", message)
        near: list[str] = []
        if strange:
            known = [flag for flags in FLAGS.values() for flag in flags]
            near = difflib.get_close_matches(strange[1], known, n=1)
            text = f"{strange[1]} is no flag of ours"
        raw = strange[1] if strange else "--flag"
        step = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"{self.prog}: {text}",
            f"{step}flags of the engine itself go after --, as in: {self.prog} MODEL -- {raw}",
        )
