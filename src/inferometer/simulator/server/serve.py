"""``python -m inferometer.simulator.server.serve``: the simulated server as a process of its own.

One flag per field of ``SimSettings``, and ``--profile``. When the server accepts connections, one line of JSON with
``url`` and ``pid`` goes to standard output; nothing else does.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec

from inferometer.errors import InferometerError, UsageError
from inferometer.simulator.latency.profile import read_profile
from inferometer.simulator.server.listening import serve
from inferometer.simulator.server.settings import SimSettings, StartOrder, settings_of

_PR_SET_PDEATHSIG = 1
_PLACE = re.compile(r" - at `\$\.(\w+)")  # how msgspec names the field that is to blame
_OF_PROFILES = frozenset({"experts", "residual"})


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    options = vars(_flags().parse_args(argv))
    die_with_parent, from_stdin = options.pop("die_with_parent"), options.pop("order_from_stdin")
    try:
        if die_with_parent:
            _die_with_parent()
        order = _read_order() if from_stdin else _order_from_flags(options)
        serve(order.settings, order.host, order.port, _announce, stop_when_stdin_closes=die_with_parent)
    except InferometerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _order_from_flags(options: dict[str, Any]) -> StartOrder:
    host, port = options.pop("host"), options.pop("port")
    return StartOrder(host=host, port=port, settings=settings_from_flags(options))


def settings_from_flags(options: dict[str, str | bool | None]) -> SimSettings:
    """Settings from texts and switches by field name; None leaves a field at its default.

    ``profile`` names a file of ``inferometer simulate calibrate``: what it says stands in place of the defaults.

    Raises:
        UsageError: a text that is no value of its field, or a profile that is not there.
        DataError: a file that is no profile of this version.
    """
    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    profile = given.pop("profile", None)
    if given.pop("prefix_cache_blocks", None) is not None:
        raise UsageError(
            "--prefix-cache-blocks is gone: the prefix cache shares the KV blocks, as in vLLM",
            "leave it out; for more room raise --num-blocks",
        )
    if "adapters" in given:
        given["adapters"] = [name.strip() for name in str(given["adapters"]).split(",") if name.strip()]
    if "acceptance" in given:
        given["acceptance"] = str(given["acceptance"]).split(",")
    try:
        if "fault" in given:
            given["fault"] = msgspec.json.decode(str(given["fault"]))
        if profile is not None:
            return settings_of(read_profile(str(profile)), **given)
        return msgspec.convert(given, SimSettings, strict=False)
    except msgspec.DecodeError as error:
        raise _not_valid(error, options) from error


def _not_valid(error: msgspec.DecodeError, options: dict[str, str | bool | None]) -> UsageError:
    """Which flag is wrong, and why."""
    place = _PLACE.search(str(error))
    name = "fault" if place is None else place[1]  # no other text is JSON
    why = str(error)[: None if place is None else place.start()]
    return UsageError(
        f"--{name.replace('_', '-')} {options[name]} of the simulated server: {why}",
        "see `inferometer serve-sim --help`",
    )


def flag_fields() -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of ``SimSettings`` that have a flag: all that a text can say."""
    return tuple(field for field in msgspec.structs.fields(SimSettings) if field.name not in _OF_PROFILES)


def add_field(
    parser: argparse._ActionsContainer, field: msgspec.structs.FieldInfo, means: str | None = None
) -> None:
    """Give ``parser`` the flag of ``field``; ``settings_from_flags`` takes what it leaves."""
    flag, default = f"--{field.name.replace('_', '-')}", field.default
    switch = isinstance(default, bool)
    shown = "none" if default in (None, ()) else ("on" if default else "off") if switch else default
    text = f"default: {shown}" if means is None else f"{means} (default {shown})"
    if switch:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    choices = get_args(field.type) if get_origin(field.type) is Literal else None
    parser.add_argument(flag, metavar=None if choices else "VALUE", choices=choices, help=text)


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inferometer.simulator.server.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent or stdin ends")
    parser.add_argument("--order-from-stdin", action="store_true", help="read all of it as one line of JSON")
    parser.add_argument("--profile", help="a calibrated engine, as JSON; flags beside it win")
    parser.add_argument("--prefix-cache-blocks", help=argparse.SUPPRESS)  # says that it is gone
    for field in flag_fields():
        add_field(parser, field)
    return parser


def _read_order() -> StartOrder:
    try:
        return msgspec.json.decode(sys.stdin.buffer.readline(), type=StartOrder)
    except msgspec.DecodeError as error:
        raise UsageError(f"the order on standard input is not valid: {error}") from error


def _announce(url: str) -> None:
    sys.stdout.write(msgspec.json.encode({"url": url, "pid": os.getpid()}).decode() + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    """Have the kernel end this process with its parent (Linux); the end of stdin does it elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
