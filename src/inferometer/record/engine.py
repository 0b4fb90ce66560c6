"""What a run keeps of the server that it started itself."""

from __future__ import annotations

from typing import Any

import msgspec

ENGINE_LOG = "engine.log"


class EngineRecord(msgspec.Struct, kw_only=True):
    """The server of ``--launch``, of the latest sitting. Absent (``None``) = it did not say.

    Attributes:
        name: which engine: ``vllm``, or ``command`` for a command line that is of none that is known.
        version: its own.
        command: what was started, quoted for a shell, without secrets.
        env: variables that were added, without secrets.
        url: where it listened.
        cores: CPU cores that it was kept on, and the load generator off; none = no core was set apart.
        ready_s: seconds from its start to its first answer.
        facts: what it says of itself, by the names of ``inferometer.engines.engine.Facts``.
        log: name of the file in the run folder with all that it wrote.
        ended: how it ended and why, in words, when it ended before it was asked to; None = it was stopped at the end.
        next_step: what to do about that.
    """

    name: str
    version: str | None = None
    command: str = ""
    env: dict[str, str] = {}
    url: str = ""
    cores: list[int] = []
    ready_s: float | None = None
    facts: dict[str, Any] = {}
    log: str = ENGINE_LOG
    ended: str | None = None
    next_step: str | None = None
