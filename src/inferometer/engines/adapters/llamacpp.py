"""llama.cpp: its own server, from the xllamacpp wheel (extra ``engine``) or as the program ``llama-server``.

Flags and pages: llama.cpp tools/server/README.md and common/arg.cpp; the wheel's server takes the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from inferometer.engines.adapters.flagged import Flagged
from inferometer.engines.adapters.own import OWN_ERRORS
from inferometer.engines.engine import CommandLine, Readiness, Said, Settings
from inferometer.engines.findings import Finding, first_model, in_log, in_page
from inferometer.engines.flags import Flag, read
from inferometer.engines.gguf_files import TINY, gguf_of
from inferometer.engines.troubles import Pattern
from inferometer.errors import UsageError
from inferometer.interpreter import own_module

_CONTEXT = Flag(field="max_model_len", names=("--ctx-size", "-c"), kind="count")
_ONE_DEVICE = "write it as raw flags of llama-server: --split-mode row --tensor-split 1,1"

_TROUBLES = (
    Pattern(
        re.compile(r"couldn't bind HTTP server socket, hostname: (?P<host>\S+), port: (?P<port>\d+)"),
        "port {port} of {host} is taken",
        "end the server that listens there, or take another port: --port 0 takes a free one",
    ),
    Pattern(
        re.compile(r"unknown model architecture: '(?P<name>[^']+)'"),
        "this llama.cpp does not know the architecture {name}",
        "take a newer one: pip install --upgrade xllamacpp",
    ),
    Pattern(
        re.compile(r"data is not within the file bounds|failed to read (?:magic|key-value|tensor).*"),
        "the GGUF file is not complete",
        "fetch it again, and compare its size",
    ),
    Pattern(
        re.compile(r"failed to (?:allocate|create)\b.*(?:buffer|context|cache).*"),
        "there is not enough memory for the model and its KV cache",
        "a smaller --max-model-len or --max-num-seqs, or a KV cache of fewer bits: --kv-cache-dtype q8_0",
    ),
    Pattern(
        re.compile(r"llama_server: error: (?P<said>.+)"),
        "{said}",
        "see what llama-server calls it; the wheel's server has the flags of a measurement only",
    ),
    *OWN_ERRORS,
)


class LlamaCpp(Flagged):
    """llama.cpp's server.

    Its context is that of all slots together: a longest answer of N tokens and M sequences become ``--ctx-size N*M``.
    """

    name = "llamacpp"
    readiness = Readiness(paths=("/health",))
    pages = ("/props", "/v1/models")
    dialect = "openai-chat"
    usual = tuple(own_module("inferometer.engines.llama_server"))
    programs = (("llama-server",), ("python", *usual[1:]))
    flags = (
        Flag(field="served_name", names=("--alias", "-a")),
        Flag(field="host", names=("--host",)),
        Flag(field="port", names=("--port",), kind="count"),
        Flag(field="max_num_seqs", names=("--parallel", "-np"), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--batch-size", "-b"), kind="count"),
        Flag(field="prefix_cache", names=("--cache-prompt",), kind="switch", off=("--no-cache-prompt",)),
    )
    model_flag = ("--model", "-m")
    model_word = False
    default_port = 8080
    lacks: ClassVar[dict[str, str]] = {
        "tensor_parallel": _ONE_DEVICE,
        "pipeline_parallel": "write it as raw flags of llama-server: --split-mode layer --tensor-split 1,1",
        "data_parallel": "start several servers, and measure them together with --more-url",
        "expert_parallel": "leave it out",
        "memory_share": "say how many layers go to the device, as a raw flag: --n-gpu-layers N",
        "dtype": "the type is that of the GGUF file: take another file",
        "quantization": "the type is that of the GGUF file: take another file",
        "trust_remote_code": "leave it out: a GGUF file holds no code",
    }
    patterns: ClassVar[tuple[Pattern, ...]] = _TROUBLES

    def command(self, settings: Settings) -> CommandLine:
        """The command line of ``settings``; a program of llama.cpp's own gets the file that a folder stands for.

        Raises:
            UsageError: a setting that llama.cpp does not have, or a model that the program could not find.
        """
        if settings.program and settings.model == TINY:
            raise UsageError(
                f"{settings.program[-1]} knows no model {TINY}",
                "name a GGUF file, or leave out the program: the server of the wheel has one",
            )
        if settings.program and Path(settings.model).is_dir():
            settings = msgspec.structs.replace(settings, model=str(gguf_of(settings.model, None)))
        return super().command(settings)

    def more_flags(self, settings: Settings) -> tuple[str, ...]:
        """The context of all slots, and the type of the cache, which has a flag for keys and one for values."""
        words: list[str] = []
        if settings.max_model_len is not None:
            words += [_CONTEXT.names[0], str(settings.max_model_len * (settings.max_num_seqs or 1))]
        if settings.kv_cache_dtype is not None:
            words += ["--cache-type-k", settings.kv_cache_dtype, "--cache-type-v", settings.kv_cache_dtype]
        return tuple(words)

    def read_more(self, settings: Settings) -> Settings:
        """The longest answer from the context, where it can be divided, and the type of the cache if there is one."""
        table = [
            _CONTEXT,
            Flag(field="keys", names=("--cache-type-k", "-ctk")),
            Flag(field="values", names=("--cache-type-v", "-ctv")),
        ]
        typed = read(settings.extra, table)
        context, slots = typed.fields.get(_CONTEXT.field), settings.max_num_seqs or 1
        keys, values = typed.fields.get("keys"), typed.fields.get("values")
        if typed.words or keys != values or (context is not None and (context == 0 or context % slots)):
            return settings
        length = None if context is None else context // slots
        return msgspec.structs.replace(settings, max_model_len=length, kv_cache_dtype=keys, extra=typed.extra)

    def findings(self, said: Said) -> Iterator[Finding]:
        """The page of its properties, the list of models, its log."""
        props, listed = in_page(said, "/props"), first_model(said)
        build = props.get("build_info")
        wheel = in_log(said.log, r"(?m)^xllamacpp (\S+),")
        yield Finding("version", None if wheel is None else f"xllamacpp {wheel}", "log")
        yield Finding("version", build, "/props")
        yield Finding("model", props.get("model_alias"), "/props")
        yield Finding("model", listed.get("id"), "/v1/models")
        slots = props.get("total_slots")
        each = (props.get("default_generation_settings") or {}).get("n_ctx")
        yield Finding("max_num_seqs", slots, "/props")
        yield Finding("max_model_len", each, "/props")
        if isinstance(slots, int) and isinstance(each, int):
            shared = in_log(said.log, r"kv_unified = '(true)'") is not None
            yield Finding("kv_tokens", each if shared else slots * each, "/props")
        meta = listed.get("meta") or {}
        told = {name: str(meta[name]) for name in ("n_params", "n_ctx_train", "ftype") if name in meta}
        threads = in_log(said.log, r"n_threads = (\d+)")
        yield Finding("flags", told if threads is None else {**told, "n_threads": threads}, "/v1/models")
