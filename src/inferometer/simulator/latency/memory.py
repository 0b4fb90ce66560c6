"""How many blocks of KV cache a device has left beside weights, activations and what the runtime keeps."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.latency.devices import GIB, Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.roofline import Placement


class MemoryHabits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an engine deals with a device's memory. Defaults are those of vLLM V1 on NVIDIA.

    Attributes:
        utilization: share of the memory that it takes for all together.
        activation_tokens: tokens of its largest step: max_num_batched_tokens, or max_model_len where prompts are not
            prefilled in chunks.
        max_num_seqs: rows of the sampler.
        block_tokens: tokens of a block.
        reserve_gib: runtime and graphs; with the activations it makes the 1.24 GB that vLLM reports for an 8B model
            on one RTX 4090.
        communication_gib: buffers of the collective library, where several devices share layers.
        hidden_copies, intermediate_copies: activations alive at a step's peak, in rows of that size.
    """

    utilization: float = 0.9
    activation_tokens: int = 2048
    max_num_seqs: int = 256
    block_tokens: int = 16
    reserve_gib: float = 0.5
    communication_gib: float = 0.4
    hidden_copies: float = 10.0
    intermediate_copies: float = 3.0

    def __post_init__(self) -> None:
        if not 0.0 < self.utilization <= 1.0:
            raise UsageError(f"utilization={self.utilization} must be more than 0 and at most 1")
        for name in ("activation_tokens", "max_num_seqs", "block_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be at least 1")


class MemoryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where the memory of one device goes, in bytes, and what is left for KV."""

    usable_bytes: float
    weight_bytes: float
    activation_bytes: float
    reserve_bytes: float
    kv_bytes: float
    kv_tokens: int
    kv_blocks: int


def plan_memory(
    model: ModelFacts, device: Device, placement: Placement | None = None, habits: MemoryHabits | None = None
) -> MemoryPlan:
    """The memory of each device of an instance.

    KV tokens = floor((utilization * memory - weights - activations - reserve) / KV bytes per token), activations =
    tokens * (10 hidden + 3 intermediate * experts per token / tp) * 2 bytes, and 3 rows of float32 logits for each
    sequence. The three constants were fitted to 76 published pairs of cards and longest lengths (Ascend, vLLM 0.6).

    Raises:
        UsageError: the rest leaves no room for one block; says what takes how much.
    """
    place, habits = placement or Placement(), habits or MemoryHabits()
    devices = place.tensor_parallel * place.pipeline_parallel
    usable = habits.utilization * device.memory_gib * GIB
    weights = model.weight_bytes / devices
    active = model.intermediate * (model.experts_per_token or 1)
    row = habits.hidden_copies * model.hidden + habits.intermediate_copies * active / place.tensor_parallel
    logits = 3 * habits.max_num_seqs * model.vocab_tokens * 4 / place.tensor_parallel
    activations = habits.activation_tokens * row * 2 + logits
    reserve = (habits.reserve_gib + (habits.communication_gib if devices > 1 else 0.0)) * GIB
    left = usable - weights - activations - reserve
    each = model.kv_bytes_per_device(place.tensor_parallel, place.pipeline_parallel)
    blocks = int(left // (each * habits.block_tokens))
    if blocks < 1:
        raise UsageError(
            f"{device.title}: {usable / GIB:.1f} GiB usable of {device.memory_gib:.1f} GiB, but weights take "
            f"{weights / GIB:.1f}, activations {activations / GIB:.1f} and the runtime {reserve / GIB:.1f} GiB "
            f"on each of {devices} device(s), which leaves no block of KV cache",
            "spread it over more devices, quantise it, or take smaller steps",
        )
    return MemoryPlan(
        usable_bytes=usable,
        weight_bytes=weights,
        activation_bytes=activations,
        reserve_bytes=reserve,
        kv_bytes=left,
        kv_tokens=blocks * habits.block_tokens,
        kv_blocks=blocks,
    )
