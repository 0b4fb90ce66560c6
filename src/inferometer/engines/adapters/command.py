"""Any command line that starts a server: for engines without an adapter, containers, scripts."""

from __future__ import annotations

import re

import msgspec

from inferometer.engines.engine import CommandLine, Facts, Readiness, Said, Settings, Trouble
from inferometer.engines.troubles import COMMON, explain
from inferometer.errors import UsageError

_PORT_FLAGS = ("--port", "--server-port", "--http-port", "-p")
_HOST_FLAGS = ("--host", "--server-name", "--hostname")
_PLACES = re.compile(r"\{(port|host)\}")
_FIELDS = ("served_name", "host", "port", "env", "extra", "model")  # the settings that mean something here


class Command:
    """A command line as it is, of which only address and port are known.

    Its words may hold ``{port}`` and ``{host}``; else the port is that of ``--port`` in them, if it is there.
    """

    name = "command"
    readiness = Readiness()
    pages = ("/version", "/get_server_info", "/props", "/info")
    dialect = "openai-chat"

    def command(self, settings: Settings) -> CommandLine:
        """The words of ``settings.extra``, places filled in.

        Raises:
            UsageError: no words; settings that only an adapter could write; a port beside another one in the words.
        """
        if not settings.extra:
            raise UsageError(
                "command: no command line is given", "write it after --: launch command -- PROGRAM ..."
            )
        defaults = msgspec.structs.asdict(Settings(model=""))
        given = msgspec.structs.asdict(settings)
        strange = [name for name in given if name not in _FIELDS and given[name] != defaults[name]]
        if strange:
            raise UsageError(
                f"command does not know how its program calls {', '.join(strange)}",
                "write that among the words of the command",
            )
        argv = _with_port(settings.extra, settings.port)
        values = {"port": str(settings.port), "host": settings.host}
        return CommandLine(
            argv=tuple(_PLACES.sub(lambda found: values[found[1]], word) for word in argv), env=settings.env
        )

    def settings(self, argv: tuple[str, ...]) -> Settings | None:
        """Takes anything; address and port are looked for in it. A port to be filled in is a free one."""
        if not argv:
            return None
        port, host = _value(argv, _PORT_FLAGS), _value(argv, _HOST_FLAGS)
        found: dict[str, object] = {}
        if any("{port}" in word for word in argv):
            found["port"] = 0
        elif port is not None and port.isdecimal():
            found["port"] = int(port)
        if host is not None and "{" not in host:
            found["host"] = host
        return msgspec.convert({"model": "", "extra": argv, **found}, Settings)

    def facts(self, said: Said) -> Facts:
        """Nothing is known but what its pages say of a version, in the ways that engines have."""
        for path, body in said.pages.items():
            try:
                version = msgspec.json.decode(body, type=_Version).version
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # a page of something else
            if version is not None:
                return Facts(engine=self.name, version=version, sources={"version": path})
        return Facts(engine=self.name)

    def trouble(self, log: str) -> Trouble | None:
        """What any engine may write."""
        return explain(log, COMMON)


class _Version(msgspec.Struct):
    version: str | None = None


def _value(argv: tuple[str, ...], flags: tuple[str, ...]) -> str | None:
    """The value of the first of these flags, written with a blank or an equals sign."""
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag in flags:
            return value if equals else argv[place + 1] if place + 1 < len(argv) else None
    return None


def _with_port(argv: tuple[str, ...], port: int) -> tuple[str, ...]:
    """The words with ``port`` in place of a 0 that asks for a free one, as nobody would know which was taken.

    Raises:
        UsageError: they name another port.
    """
    written = _value(argv, _PORT_FLAGS)
    if written is None or not written.isdecimal() or int(written) == port:
        return argv
    if int(written):
        raise UsageError(
            f"the command names port {written}, and {port} is to be asked",
            "write {port} in the command in place of the number",
        )
    words = list(argv)
    for place, word in enumerate(words):
        if word in _PORT_FLAGS:
            words[place + 1] = str(port)
        elif word.partition("=")[0] in _PORT_FLAGS:
            words[place] = f"{word.partition('=')[0]}={port}"
    return tuple(words)
