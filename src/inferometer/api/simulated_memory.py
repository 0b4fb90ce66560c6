"""The KV cache of a simulated instance: as flags say it, as it was measured, or as memory leaves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from inferometer.engines.kv_memory import MemoryRule, blocks_in, kv_blocks_left, kv_bytes_left
from inferometer.engines.limits import Meaning
from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.profile import Profile
from inferometer.simulator.latency.roofline import Placement

_SPENT = ("max_num_seqs", "max_num_batched_tokens")  # limits that memory is spent for


class Hardware(NamedTuple):
    """What an instance runs on; None = not known.

    Attributes:
        device: each of its devices.
        model: what it serves.
        placement: over how many devices.
        rule: how its engine divides the memory; None = the cache has the size that flags say.
        was: the device that was measured.
    """

    device: Device | None
    model: ModelFacts | None
    placement: Placement
    rule: Callable[[Device, Placement, EngineLimits], MemoryRule] | None
    was: Device | None = None

    @property
    def moved(self) -> bool:
        """Whether it is another kind of device than was measured."""
        return self.device is not None and self.was is not None and self.device.title != self.was.title


class Cache(NamedTuple):
    """A KV cache.

    Attributes:
        blocks: of it.
        notes: where the number comes from, if that has to be said.
    """

    blocks: int
    notes: tuple[str, ...] = ()


def kv_cache(
    profile: Profile | None, meaning: Meaning, hardware: Hardware, base: EngineLimits | None = None
) -> Cache:
    """The cache under the flags.

    Args:
        profile: what was measured; None = nothing was.
        meaning: of the flags.
        hardware: what it runs on.
        base: limits with what flags say about steps and blocks; not needed with a profile.

    Raises:
        UsageError: the weights leave no room, or a share of a memory that is not known.
    """
    plain = base or (profile.limits if profile is not None else EngineLimits())
    block_tokens = meaning.limits.get("block_tokens", plain.block_tokens)
    if "kv_blocks" in meaning.limits:
        return Cache(meaning.limits["kv_blocks"])
    if meaning.kv_tokens is not None:
        return Cache(max(1, meaning.kv_tokens // block_tokens))
    if meaning.kv_bytes is not None:
        if hardware.model is None:
            raise _unknown("bytes of KV cache")
        return Cache(max(1, blocks_in(meaning.kv_bytes, hardware.model, hardware.placement, block_tokens)))
    if profile is None:
        return _planned(meaning, hardware, plain)
    return _as_measured(profile, meaning, hardware, block_tokens)


def _planned(meaning: Meaning, hardware: Hardware, limits: EngineLimits) -> Cache:
    if hardware.rule is None or hardware.device is None or hardware.model is None:
        raise UsageError(
            "nothing says how large the KV cache is", "say it in the engine's words, as --ctx-size 16384"
        )
    rule = hardware.rule(hardware.device, hardware.placement, limits).with_share(meaning.memory_share)
    return Cache(kv_blocks_left(rule, hardware.model, hardware.device, hardware.placement, limits))


def _as_measured(profile: Profile, meaning: Meaning, hardware: Hardware, block_tokens: int) -> Cache:
    """What was measured, and what the flags add to it or take from it by the engine's rule."""
    base = profile.limits
    tokens = base.kv_blocks * base.block_tokens
    spent = {name: meaning.limits[name] for name in _SPENT if meaning.limits.get(name, None) is not None}
    grown = any(value != getattr(base, name) for name, value in spent.items())
    moved = hardware.moved or hardware.placement != profile.placement
    if meaning.memory_share is None and not grown and not moved:
        return Cache(max(1, tokens // block_tokens))
    if hardware.device is None or hardware.model is None or hardware.rule is None:
        if meaning.memory_share is not None:
            raise _unknown("a share of the memory")
        note = "the KV cache is taken to stay as it was measured: device and model are not known"
        return Cache(max(1, tokens // block_tokens), (note,))
    model, device = hardware.model, hardware.device
    limits, before_limits, here = _sized(base, spent), _sized(base, {}), hardware.was or device
    old_rule = hardware.rule(here, profile.placement, before_limits)
    new_rule = hardware.rule(device, hardware.placement, limits).with_share(meaning.memory_share)
    before = kv_bytes_left(old_rule, model, here, profile.placement, before_limits)
    after = kv_bytes_left(new_rule, model, device, hardware.placement, limits)
    each = model.kv_bytes_per_device
    old_each = each(profile.placement.tensor_parallel, profile.placement.pipeline_parallel)
    new_each = each(hardware.placement.tensor_parallel, hardware.placement.pipeline_parallel)
    found = (tokens * old_each + after - before) / new_each
    if found < block_tokens:
        kv_blocks_left(new_rule, model, device, hardware.placement, limits)  # says what takes the memory
        raise UsageError(
            "with these flags no room is left for a KV cache", "raise the engine's share of the memory"
        )
    share = old_rule.whole if old_rule.asked == "whole" else old_rule.free
    note = (
        f"KV cache: {tokens:,} tokens as calibrated (with the engine's default share of memory, {share:.2f}, it is "
        f"assumed), {int(found):,} reckoned with these flags"
    )
    return Cache(int(found // block_tokens), (note,))


def _sized(base: EngineLimits, spent: dict[str, int]) -> EngineLimits:
    """Limits that say how large steps are, and nothing that could contradict that."""
    return EngineLimits(
        scheduler="prefill-first",
        max_num_seqs=spent.get("max_num_seqs", base.max_num_seqs),
        max_num_batched_tokens=spent.get("max_num_batched_tokens", base.max_num_batched_tokens),
        block_tokens=base.block_tokens,
        kv_blocks=1,
        max_model_len=1,
    )


def _unknown(what: str) -> UsageError:
    return UsageError(
        f"{what}: the profile does not say which device and model it is of",
        "give --device and --model-config beside --profile, or say the blocks themselves, as --num-gpu-blocks-override",
    )
