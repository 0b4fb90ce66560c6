"""The simulated engine, started like any other: to try out everything around an engine without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from inferometer.engines.adapters.flagged import Flagged
from inferometer.engines.adapters.own import OWN_ERRORS
from inferometer.engines.engine import Readiness, Said
from inferometer.engines.findings import Finding, first_model, in_page
from inferometer.engines.flags import Flag
from inferometer.engines.troubles import Pattern
from inferometer.interpreter import own_module

_HAS_ONE = (
    "leave it out: the simulated engine is as fast as its flags say (see: inferometer serve-sim --help)"
)


class Sim(Flagged):
    """The simulated engine; its flags are those of ``inferometer serve-sim``."""

    name = "sim"
    readiness = Readiness(paths=("/health",))
    pages = ("/version", "/v1/models")
    dialect = "openai-chat"
    usual = tuple(own_module("inferometer.simulator.server.serve"))
    programs = (
        ("inferometer", "serve-sim"),
        ("python", "-m", "inferometer", "serve-sim"),
        ("python", *usual[1:]),
    )
    flags = (
        Flag(field="host", names=("--host",)),
        Flag(field="port", names=("--port",), kind="count"),
        Flag(field="max_model_len", names=("--max-model-len",), kind="count"),
        Flag(field="max_num_seqs", names=("--max-num-seqs",), kind="count"),
        Flag(field="max_num_batched_tokens", names=("--max-num-batched-tokens",), kind="count"),
        Flag(field="prefix_cache", names=("--prefix-cache",), kind="switch", off=("--no-prefix-cache",)),
    )
    model_word = False
    lacks: ClassVar[dict[str, str]] = {
        "served_name": "the model's name is the one that requests give",
        "tensor_parallel": _HAS_ONE,
        "pipeline_parallel": _HAS_ONE,
        "data_parallel": _HAS_ONE,
        "expert_parallel": _HAS_ONE,
        "memory_share": "say how many blocks it has, as raw flags: --num-blocks N --block-size N",
        "kv_cache_dtype": _HAS_ONE,
        "dtype": _HAS_ONE,
        "quantization": _HAS_ONE,
        "devices": _HAS_ONE,
        "trust_remote_code": _HAS_ONE,
    }
    patterns: ClassVar[tuple[Pattern, ...]] = (
        *OWN_ERRORS,
        Pattern(
            re.compile(r"serve(?:\.py)?: error: (?P<said>.+)"), "{said}", "see: inferometer serve-sim --help"
        ),
    )

    def findings(self, said: Said) -> Iterator[Finding]:
        """Its pages of version and models."""
        listed = first_model(said)
        yield Finding("version", in_page(said, "/version").get("version"), "/version")
        yield Finding("model", listed.get("id"), "/v1/models")
        yield Finding("max_model_len", listed.get("max_model_len"), "/v1/models")
