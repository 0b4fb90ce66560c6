"""``python -m inferometer.simulator.server.serve``: the simulated server as a process of its own.

One flag per field of ``SimSettings``. When the server accepts connections, one line of JSON with ``url`` and
``pid`` goes to standard output; nothing else does.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from inferometer.errors import InferometerError, UsageError
from inferometer.simulator.server.listening import serve
from inferometer.simulator.server.settings import SimSettings, StartOrder

_PR_SET_PDEATHSIG = 1


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

    Raises:
        UsageError: a text that is no value of its field.
    """
    given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
    if "adapters" in given:
        given["adapters"] = [name.strip() for name in str(given["adapters"]).split(",") if name.strip()]
    try:
        if "fault" in given:
            given["fault"] = msgspec.json.decode(str(given["fault"]))
        return msgspec.convert(given, SimSettings, strict=False)
    except msgspec.DecodeError as error:
        raise UsageError(f"the flags of the simulated server are not valid: {error}") from error


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inferometer.simulator.server.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent or stdin ends")
    parser.add_argument("--order-from-stdin", action="store_true", help="read all of it as one line of JSON")
    for field in msgspec.structs.fields(SimSettings):
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            parser.add_argument(flag, help=f"default: {field.default}")
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
