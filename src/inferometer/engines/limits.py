"""What an engine's own flags mean for its simulation: limits of its scheduler, memory, ranks, or nothing."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from inferometer.engines.flags import Flag, Typed, flag_names, read, started
from inferometer.engines.kv_memory import MemoryRule
from inferometer.errors import UsageError
from inferometer.registry import Registry
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.roofline import Placement

SCHEDULING = Registry(
    "simulated engine",
    {
        "llamacpp": "inferometer.engines.scheduling.llamacpp:RULES",
        "lmdeploy": "inferometer.engines.scheduling.lmdeploy:RULES",
        "mindie": "inferometer.engines.scheduling.mindie:RULES",
        "sglang": "inferometer.engines.scheduling.sglang:RULES",
        "tensorrt-llm": "inferometer.engines.scheduling.tensorrt:RULES",
        "tgi": "inferometer.engines.scheduling.tgi:RULES",
        "vllm": "inferometer.engines.scheduling.vllm:RULES",
    },
    group="inferometer.scheduling",
)
_ALSO = {"trtllm": "tensorrt-llm", "tensorrt": "tensorrt-llm", "llama.cpp": "llamacpp", "vllm-ascend": "vllm"}


_NO_TIME = frozenset(
    (
        "--api-key",
        "--chat-template",
        "--disable-log-requests",
        "--disable-log-stats",
        "--download-dir",
        "--enable-auto-tool-choice",
        "--enable-metrics",
        "--load-format",
        "--log-level",
        "--reasoning-parser",
        "--revision",
        "--seed",
        "--tokenizer",
        "--tool-call-parser",
        "--uvicorn-log-level",
    )
)
"""Flags of several engines that no time depends on."""


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What was said with flags; None = nothing.

    Attributes:
        limits: fields of ``EngineLimits``.
        kv_tokens: of the whole KV cache, where the engine counts tokens and not blocks.
        kv_bytes: of the KV cache on each device.
        memory_share: as the engine understands it.
        tensor_parallel, pipeline_parallel, data_parallel: how many of each.
        replicas: whether data-parallel ranks are whole copies that share nothing, not even experts.
        dtype, kv_cache_dtype, quantization: as the engine names them.
        notes: what is not simulated, or simulated otherwise, a sentence each.
    """

    limits: dict[str, Any] = {}
    kv_tokens: int | None = None
    kv_bytes: float | None = None
    memory_share: float | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    data_parallel: int | None = None
    replicas: bool = False
    dtype: str | None = None
    kv_cache_dtype: str | None = None
    quantization: str | None = None
    notes: tuple[str, ...] = ()


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What the default of a flag may depend on.

    Attributes:
        limits: that hold where no flag says otherwise.
        acceptance: shares of drafts that are right, by position; empty = not known.
        config: the engine's configuration file, where it has one (MindIE); None = none was given.
        measured: whether the limits are those of an engine that was measured, so that what is not said stays as it was.
    """

    limits: EngineLimits = EngineLimits()
    acceptance: tuple[float, ...] = ()
    config: Mapping[str, Any] | None = None
    measured: bool = False


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as far as flags matter to its simulation.

    Attributes:
        name: of the engine.
        version: whose defaults are told here.
        memory: how it divides a device's memory, where its steps are of such limits; None = its KV cache has the size
            that its flags say.
        length_of_model: whether the longest sequence is the model's own unless told otherwise.
        defaults: its limits without any flag, on a device; None = a device that is not known.
        meaning: what flags say, where the limits without them are known.
    """

    name: str
    version: str
    memory: Callable[[Device, Placement, EngineLimits], MemoryRule] | None
    defaults: Callable[[Device | None, Placement], EngineLimits]
    meaning: Callable[[str, Situation], Meaning]
    length_of_model: bool = True


def rules_of(engine: str) -> Rules:
    """The rules of the engine of that name; ``vllm 0.19.1`` and ``vLLM`` are vllm.

    Raises:
        UsageError: there is none.
    """
    word = (engine.split() or [""])[0].lower().replace("_", "-")
    rules: Rules = SCHEDULING.get(_ALSO.get(word, word))
    return rules


def known(engine: str | None) -> bool:
    """Whether there are rules for an engine."""
    word = ((engine or "").split() or [""])[0].lower().replace("_", "-")
    return _ALSO.get(word, word) in SCHEDULING.names()


def words_of(text: str, programs: Sequence[tuple[str, ...]] = ()) -> list[str]:
    """Flags as a shell would part them; the program that they were copied with is left out.

    Raises:
        UsageError: a quote that does not close.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--engine-args: {error}", "close every quote, as a shell would need it") from None
    found = started(words, programs) if programs else None
    return words if found is None else list(found.rest)


class FlagTable(msgspec.Struct, frozen=True, kw_only=True):
    """How a command line is read: the table of the engine's adapter, and what only its simulation looks at.

    Attributes:
        engine: name, for messages.
        flags: all that are understood.
        programs: words that start it.
        underscores: whether ``--max_num_seqs`` is ``--max-num-seqs``.
        takes_model: whether the model may stand as a word of its own.
        automatic: flags of numbers that may also say "choose yourself", as ``--max-model-len -1``.
    """

    engine: str
    flags: tuple[Flag, ...]
    programs: tuple[tuple[str, ...], ...] = ()
    underscores: bool = False
    takes_model: bool = False
    automatic: frozenset[str] = frozenset()

    def read(self, text: str) -> Typed:
        """Values by field, with the flags that are not understood.

        Raises:
            UsageError: a word that belongs to no flag, or a value that its flag cannot have.
        """
        words = words_of(text, self.programs)
        pasted = len(words) < len(words_of(text))
        typed = read(words, self.flags, underscores=self.underscores, model_word=pasted and self.takes_model)
        strange = typed.words[1:] if pasted and self.takes_model else typed.words
        if strange:
            raise UsageError(
                f"--engine-args {text!r}: {strange[0]!r} belongs to no flag of {self.engine}",
                'write flags with their values, as "--max-num-seqs 256"',
            )
        self._refuse_values(text, typed)
        return typed

    def unknown(self, typed: Typed, known: Sequence[str] = ()) -> tuple[str, ...]:
        """A sentence about the flags that have no part in the simulation.

        It leaves out those that no time depends on, and those that are ``known`` to be simulated otherwise.
        """
        names = sorted({name for flag in self.flags for name in (*flag.names, *flag.off)})
        found = []
        for name in sorted(flag_names(typed.extra) - _NO_TIME.union(known)):
            near = difflib.get_close_matches(name, [one for one in names if one != name], n=1, cutoff=0.85)
            found.append(f"{name} (did you mean {near[0]}?)" if near and name not in names else name)
        return (f"not simulated: {', '.join(found)}",) if found else ()

    def _refuse_values(self, text: str, typed: Typed) -> None:
        """A number flag with a word for its value stands in ``extra``; the engine itself would refuse it."""
        kinds = {name: flag.kind for flag in self.flags for name in flag.names}
        for word, after in pairwise([*typed.extra, ""]):
            name, _, value = word.partition("=")
            name = name.replace("_", "-") if self.underscores else name
            value = value or after
            if kinds.get(name) in ("count", "human", "number") and not (
                name in self.automatic and value in ("-1", "auto")
            ):
                raise UsageError(
                    f"--engine-args {text!r}: {name} {value or 'without a value'} is no number of {self.engine}",
                    f"give {name} a number",
                )
        for field in ("tensor_parallel", "pipeline_parallel", "data_parallel", "max_num_seqs"):
            if typed.fields.get(field) == 0:
                name = next(flag.names[0] for flag in self.flags if flag.field == field)
                raise UsageError(
                    f"--engine-args {text!r}: {name} must be at least 1", f"give {name} 1 or more"
                )


def plain_meaning(fields: Mapping[str, Any], notes: tuple[str, ...], **more: Any) -> Meaning:
    """The meaning of the settings that all engines share; ``more`` is of the engine, its ``limits`` on top.

    Args:
        fields: by name of ``Settings``.
        notes: of flags that are not simulated.
        **more: fields of ``Meaning``.
    """
    shared = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "prefix_cache")
    limits = {name: fields[name] for name in shared if fields.get(name) is not None}
    own = {
        name: fields[name]
        for name in (*_PASSED, "memory_share")
        if fields.get(name) is not None and name not in more
    }
    more["limits"] = limits | more.get("limits", {})
    more["notes"] = notes + tuple(more.get("notes", ()))
    return Meaning(**own, **more)


_PASSED = (
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "dtype",
    "kv_cache_dtype",
    "quantization",
)


def drafts(tokens: int, situation: Situation, flag: str) -> dict[str, Any]:
    """Limits of speculative decoding with so many drafts a step.

    Raises:
        UsageError: nobody knows how many of them are right.
    """
    if not tokens:
        return {"draft_tokens": 0, "acceptance": ()}
    acceptance = situation.acceptance or situation.limits.acceptance
    if not acceptance:
        raise UsageError(
            f"{flag} drafts {tokens} tokens a step, but nobody knows how many of them are right",
            "give shares by position, as --draft-acceptance 0.8 0.6, or one for all; "
            "inferometer report shows them of a measured run",
        )
    return {"draft_tokens": tokens, "acceptance": tuple(acceptance[:tokens])}
