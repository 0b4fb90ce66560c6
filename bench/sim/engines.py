"""What is known of the engines behind published sweeps without measuring them: their documented rules, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from inferometer.errors import UsageError
from inferometer.models.asked import Asked
from inferometer.simulator.calibration.believed import roofline_prior
from inferometer.simulator.calibration.fit import Prior
from inferometer.simulator.calibration.table import Point
from inferometer.simulator.instance.limits import EngineLimits, SchedulerName
from inferometer.simulator.latency.devices import GIB, Device, device
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.facts import ModelFacts, facts_of
from inferometer.simulator.latency.published import published_model
from inferometer.simulator.latency.roofline import Placement, touched_experts

_RESERVED_BYTES = 3e9  # of each device: activations, graphs, communication
_AMPLE_TOKENS = 4_000_000
_BLOCK = 16
# Of the published mixtures, 88 to 97 % of the bytes are in routed experts, and a token goes to 1 of 4 to 1 of 32.
_TYPICAL_MIXTURE = TouchedExperts(routed=0.95, picked=1 / 24)


class _Rules(NamedTuple):
    """Documented defaults of an engine.

    Attributes:
        utilization: share of a device's memory that the engine takes, or of what weights leave.
        of_rest: whether the share is of what weights leave.
        reserves_answer: whether a request is admitted only where its whole answer fits.
        scheduler: how prompts and decodes share steps.
    """

    utilization: float
    of_rest: bool = False
    reserves_answer: bool = False
    scheduler: SchedulerName = "chunked"


# vLLM gpu_memory_utilization; TensorRT-LLM free_gpu_memory_fraction and its scheduler policy GUARANTEED_NO_EVICT;
# SGLang mem_fraction_static, and prompts in batches of their own where --enable-mixed-chunk is not given.
_RULES = {
    "vllm": _Rules(0.9),
    "trtllm": _Rules(0.9, of_rest=True, reserves_answer=True),
    "sglang": _Rules(0.88, scheduler="prefill-first"),
}
_BATCHED_TOKENS = 8192  # of all three on devices of this size
_SEQUENCES = 1024
# A checkpoint in eight or four bits brings a cache in eight; gpt-oss, which is published in mxfp4, does not.
_CACHE = {"fp8": "fp8", "nvfp4": "fp8", "fp8_block": "fp8", "fp8_static": "fp8"}
_SIXTEEN_BITS = frozenset({"", "float16", "bfloat16", "fp16", "bf16"})


class Serving(msgspec.Struct, frozen=True):
    """What a table says of an engine.

    Attributes:
        weights: their format; empty = not said.
        ranks: data-parallel ones, which share the clients.
        layout: what else tells one deployment from another.
    """

    backend: str
    model: str
    system: str
    tensor_parallel: int
    pipeline_parallel: int
    weights: str
    ranks: int = 1
    layout: tuple[str, ...] = ()

    @property
    def devices(self) -> int:
        """Of one rank."""
        return self.tensor_parallel * self.pipeline_parallel


class Engine(msgspec.Struct, frozen=True):
    """What follows from what a table says.

    Attributes:
        rules: of the engine.
        pool_tokens: of the KV pool; ample where model or device are not known.
        prior: of the coefficients; None where model or device are not known.
        experts: what the model may be a mixture of, None = dense: one where it is known, else a fit is to choose.
    """

    rules: _Rules
    pool_tokens: int
    prior: Prior | None
    experts: tuple[TouchedExperts | None, ...]

    @classmethod
    def of(cls, serving: Serving, table: Sequence[Serving]) -> Engine:
        """What follows for one row of a table; the other rows tell the format of the weights where no row says it."""
        rules = _RULES.get(serving.backend, _RULES["vllm"])
        known, card = _facts(serving, table), _device(serving.system)
        if known is None:
            return cls(rules, _AMPLE_TOKENS, None, (None, _TYPICAL_MIXTURE))
        experts = (touched_experts(known),)
        # Ranks share the experts: what each of them holds the roofline does not know.
        if card is None or serving.ranks > 1:
            return cls(rules, _AMPLE_TOKENS, None, experts)
        place = Placement(
            tensor_parallel=serving.tensor_parallel, pipeline_parallel=serving.pipeline_parallel
        )
        return cls(
            rules, _pool_tokens(serving, rules, known, card), roofline_prior(known, card, place), experts
        )

    def limits(self, point: Point) -> EngineLimits:
        """The engine's limits at a load point: where it reserves whole answers, the batch holds so many of them."""
        seats, longest = _SEQUENCES, point.input_tokens + 2 * point.output_tokens
        if self.rules.reserves_answer:
            seats = max(1, min(seats, self.pool_tokens // (point.input_tokens + point.output_tokens)))
        # What was measured was served, whatever the pool is thought to be.
        blocks = max(self.pool_tokens, longest) // _BLOCK + 1
        return EngineLimits(
            scheduler=self.rules.scheduler,
            max_num_seqs=seats,
            max_num_batched_tokens=_BATCHED_TOKENS,
            kv_blocks=blocks,
            max_model_len=min(blocks * _BLOCK, max(longest, 131_072)),
        )


def _device(name: str) -> Device | None:
    try:
        return device(name)
    except UsageError:
        return None


def _facts(serving: Serving, table: Sequence[Serving]) -> ModelFacts | None:
    """Sizes of a published model in the format of its weights; None = a model that is not known.

    Where nothing says it, weights are in 16 bits, unless the table has them on so few devices that 16 bits would leave
    no room for KV: then in 8.
    """
    config = published_model(serving.model)
    if config is None:
        return None
    weights = serving.weights
    plain = facts_of(config, Asked(quantization=weights or None))
    if not weights and config.quantization is None:
        same = [each for each in table if (each.model, each.system) == (serving.model, serving.system)]
        fewest = min(each.devices for each in same)
        card = _device(serving.system)
        rules = _RULES.get(serving.backend, _RULES["vllm"])
        if (
            card is not None
            and _room_bytes(rules, plain, card, fewest) < 0.05 * card.memory_gib * GIB * fewest
        ):
            weights = "fp8"
    if weights in _SIXTEEN_BITS:
        return plain
    return facts_of(config, Asked(quantization=weights, kv_cache_dtype=_CACHE.get(weights)))


def _room_bytes(rules: _Rules, model: ModelFacts, card: Device, devices: int) -> float:
    memory, taken = card.memory_gib * GIB * devices, model.weight_bytes + _RESERVED_BYTES * devices
    return rules.utilization * (memory - taken) if rules.of_rest else rules.utilization * memory - taken


def _pool_tokens(serving: Serving, rules: _Rules, model: ModelFacts, card: Device) -> int:
    each = model.kv_bytes_per_device(serving.tensor_parallel, serving.pipeline_parallel) * serving.devices
    tokens = int(_room_bytes(rules, model, card, serving.devices) / each)
    # A model that was served has room, whatever this says.
    return tokens if tokens >= _BLOCK * _SEQUENCES else _AMPLE_TOKENS
