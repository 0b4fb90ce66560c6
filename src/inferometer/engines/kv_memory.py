"""How engines divide a device's memory, and how many tokens of KV cache that leaves."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import GIB, Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.memory import MemoryHabits, plan_memory
from inferometer.simulator.latency.roofline import Placement


class MemoryRule(msgspec.Struct, frozen=True, kw_only=True):
    """KV cache = ``free`` x (``whole`` x memory - weights - activations - runtime).

    Attributes:
        whole: share of the memory that all together may take.
        free: share of what is left beside weights and activations that the KV cache takes.
        static: whether ``whole`` is for weights and KV cache alone, activations being in the rest (SGLang).
        asked: which of the two a user's share replaces.
    """

    whole: float = 1.0
    free: float = 1.0
    static: bool = False
    asked: str = "whole"

    def with_share(self, share: float | None) -> MemoryRule:
        """The rule with a user's share; None = as it is.

        Raises:
            UsageError: a share that is none.
        """
        if share is None:
            return self
        if not 0.0 < share <= 1.0:
            raise UsageError(
                f"share {share} of the memory must be more than 0 and at most 1", "give 0.9 for 90 %"
            )
        return msgspec.structs.replace(self, **{self.asked: share})


def kv_bytes_left(
    rule: MemoryRule, model: ModelFacts, device: Device, placement: Placement, limits: EngineLimits
) -> float:
    """Bytes of KV cache on each device; may be less than 0."""
    habits = MemoryHabits(
        utilization=1.0,
        activation_tokens=limits.max_num_batched_tokens,
        max_num_seqs=limits.max_num_seqs,
        block_tokens=limits.block_tokens,
    )
    plan = plan_memory(model, device, placement, habits)
    whole = rule.whole * device.memory_gib * GIB
    used = plan.weight_bytes + (0.0 if rule.static else plan.activation_bytes + plan.reserve_bytes)
    return rule.free * (whole - used)


def kv_blocks_left(
    rule: MemoryRule, model: ModelFacts, device: Device, placement: Placement, limits: EngineLimits
) -> int:
    """Blocks of KV cache.

    Raises:
        UsageError: the weights leave no room.
    """
    left = kv_bytes_left(rule, model, device, placement, limits)
    blocks = blocks_in(left, model, placement, limits.block_tokens)
    if blocks < 1:
        devices = placement.tensor_parallel * placement.pipeline_parallel
        raise UsageError(
            f"{device.title}: with {rule.whole:.0%} of {device.memory_gib:.1f} GiB, weights of "
            f"{model.weight_bytes / devices / GIB:.1f} GiB on each of {devices} device(s) leave no room for a KV cache",
            "raise the engine's share of the memory, spread the model over more devices, or take smaller steps",
        )
    return blocks


def blocks_in(kv_bytes: float, model: ModelFacts, placement: Placement, block_tokens: int) -> int:
    """Blocks that so many bytes on each device hold."""
    each = model.kv_bytes_per_device(placement.tensor_parallel, placement.pipeline_parallel)
    return int(kv_bytes // (each * block_tokens))
