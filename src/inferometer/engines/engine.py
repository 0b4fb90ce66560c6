"""What an engine is to the rest of the house: how it is described, and what it says of itself. Types only."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks of any engine, in the field's own words; an adapter writes it as its engine's flags.

    None means that nothing is said, so that the engine's own default holds.

    Attributes:
        model: directory, or name on a hub; of ``command`` nothing.
        served_name: the name that requests give.
        host: address to listen at.
        port: to listen at.
        tensor_parallel, pipeline_parallel, data_parallel: how many of each.
        expert_parallel: whether experts are spread over the ranks.
        max_model_len: most tokens of prompt and answer.
        max_num_seqs: most sequences in a step.
        max_num_batched_tokens: most tokens in a step.
        memory_share: share of the device's memory that the engine may take, 0 to 1.
        kv_cache_dtype, dtype, quantization: as the engine names them.
        prefix_cache: whether full blocks of prompts are computed once.
        trust_remote_code: whether code of the model's repository may be run.
        devices: numbers of the devices it may use, as 0,1.
        env: further environment variables.
        program: what starts it in place of its usual words: a path, ``python -m ...``, ``taskset -c 0 vllm serve``.
        extra: raw flags, put last.
    """

    model: str
    served_name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    data_parallel: int | None = None
    expert_parallel: bool | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    memory_share: float | None = None
    kv_cache_dtype: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    prefix_cache: bool | None = None
    trust_remote_code: bool = False
    devices: str | None = None
    env: dict[str, str] = {}
    program: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be started: shown before it is, and carried out as it is shown.

    Attributes:
        argv: program and arguments; no shell reads them.
        env: variables beside those of this process.
        files: text of files that are written first, by path.
        cwd: directory to start in; None = this process's.
        stop_signal: what asks it to end in peace.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    cwd: str | None = None
    stop_signal: str = "SIGTERM"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """When a server that was started is ready; each part that is given must hold, then a first answer is asked for.

    Attributes:
        paths: answer 200 below the base URL, tried in turn until one does.
        log_line: regular expression that a line of its log matches.
    """

    paths: tuple[str, ...] = ("/health", "/v1/models")
    log_line: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a running engine says of itself; None = it does not say.

    Attributes:
        engine: its name.
        version: its version.
        model: what it serves.
        max_model_len: most tokens of prompt and answer.
        kv_blocks: blocks of its KV cache, and
        kv_block_tokens: tokens of each.
        kv_tokens: tokens that the cache holds.
        max_num_seqs: most sequences in a step.
        flags: settings that it reports, as it writes them.
        sources: where each fact comes from (log, /metrics, /get_server_info), by its name here.
    """

    engine: str
    version: str | None = None
    model: str | None = None
    max_model_len: int | None = None
    kv_blocks: int | None = None
    kv_block_tokens: int | None = None
    kv_tokens: int | None = None
    max_num_seqs: int | None = None
    flags: dict[str, str] = {}
    sources: dict[str, str] = {}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that facts are read from.

    Attributes:
        log: what the engine has written so far.
        pages: bodies of pages that answered 200, by path.
    """

    log: str = ""
    pages: dict[str, str] = {}


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why an engine does not start, in words a person can act on."""

    line: str  # of the log, as the engine wrote it
    message: str
    next_step: str


class Engine(Protocol):
    """One engine. Keeps no state, so that one object serves any number of servers."""

    name: str
    readiness: Readiness
    pages: tuple[str, ...]
    """Paths that facts are read from."""
    dialect: str
    """The dialect that a run speaks with it unless told otherwise."""

    def command(self, settings: Settings) -> CommandLine:
        """The command line and environment of ``settings``.

        Raises:
            UsageError: a setting that this engine does not have, or values that it refuses.
        """
        ...

    def settings(self, argv: tuple[str, ...]) -> Settings | None:
        """The settings of a command line that starts this engine, as a user would type it; None if it does not.

        ``vllm serve MODEL --port 8001 -tp 2``: known flags become fields, all others ``extra``.
        """
        ...

    def facts(self, said: Said) -> Facts:
        """What ``said`` tells."""
        ...

    def trouble(self, log: str) -> Trouble | None:
        """Why it failed, from what it has written; None when nothing known is in it."""
        ...
