"""Priors of the coefficients from a model's sizes and a device's sheet, where nothing was measured."""

from __future__ import annotations

import msgspec

from inferometer.errors import UsageError
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.model import Coefficients

_ACTIVATION_BYTES = 2
_ATTENTION_EFFICIENCY = 0.5  # of what matrix products of the linear layers reach


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one instance is spread over devices.

    Attributes:
        tensor_parallel: devices that share each layer.
        pipeline_parallel: groups of them that share the layers. A step passes through all groups one after another;
            that several steps are under way at once is not part of this model, so throughput is a lower bound.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)} must be at least 1")


class HostCosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine's host side takes, of the order that vLLM V1 with captured graphs shows.

    Attributes:
        step_s: scheduling, launching and sampling of any step.
        sequence_s: each sequence of a step: its sampler's row, its output.
        arrival_s: HTTP, tokenising, handing over.
        first_token_s: detokenising, streaming.
        layer_s: launching one layer.
    """

    step_s: float = 1.5e-3
    sequence_s: float = 8e-6
    arrival_s: float = 6e-3
    first_token_s: float = 2e-3
    layer_s: float = 1e-5


def priors(
    model: ModelFacts, device: Device, placement: Placement | None = None, host: HostCosts | None = None
) -> Coefficients:
    """Coefficients by the roofline: bytes over bandwidth, operations over peak, each by its efficiency.

    Weights: their bytes (all experts) / devices; tokens: 2 operations per parameter; KV: bytes per token;
    attention: 4 * layers * heads * head width operations per query-key pair (Kaplan et al. 2020, arXiv:2001.08361,
    table 1, forward); tensor parallelism: two all-reduces a layer, each one latency and 2 (n-1)/n of the activations
    over the link (ring, Patarasuk and Yuan 2009); pipelines: one transfer between groups.

    Raises:
        UsageError: heads cannot be split that way, or the device has no link and several are asked for.
    """
    place, host = placement or Placement(), host or HostCosts()
    _check(model, device, place)
    tensor = place.tensor_parallel
    bytes_per_s = device.memory_gb_per_s * 1e9 * device.memory_efficiency
    flops = device.flops_per_s(model.compute) * device.compute_efficiency
    pairs = device.flops_per_s("bf16") * device.compute_efficiency * _ATTENTION_EFFICIENCY
    # The embedding is looked up and not read; the head's bytes are read in each step like any weight.
    read_bytes = max(model.weight_bytes - model.embedding_bytes, 0) / tensor
    kv_bytes = model.kv_bytes_per_device(tensor)
    exchange_s, exchange_token_s = _exchange(model, device, place)
    head_s = 2 * model.vocab_tokens * model.hidden / tensor / flops
    return Coefficients(
        weights_s=read_bytes / bytes_per_s,
        token_s=2 * model.linear_parameters / tensor / flops,
        step_s=host.step_s + host.layer_s * model.layers + exchange_s,
        sequence_s=host.sequence_s + head_s,
        kv_token_s=kv_bytes / bytes_per_s,
        attention_s=4 * model.layers * model.heads * model.head_dim / tensor / pairs,
        arrival_s=host.arrival_s,
        first_token_s=host.first_token_s,
        comm_token_s=exchange_token_s,
    )


def touched_experts(model: ModelFacts) -> TouchedExperts | None:
    """The mixture of a model; None = dense."""
    if model.experts is None:
        return None
    return TouchedExperts(
        routed=model.routed_bytes / model.weight_bytes,
        picked=min(1.0, (model.experts_per_token or 1) / model.experts),
    )


def _exchange(model: ModelFacts, device: Device, place: Placement) -> tuple[float, float]:
    """Seconds of a step, and of each token, for what devices send each other."""
    tensor, groups = place.tensor_parallel, place.pipeline_parallel
    if tensor * groups == 1:
        return 0.0, 0.0
    latency_s = device.link_latency_us * 1e-6
    per_byte_s = 1 / ((device.link_gb_per_s or 1.0) * 1e9)
    activation = model.hidden * _ACTIVATION_BYTES
    reductions = 2 * model.layers if tensor > 1 else 0
    sent = reductions * 2 * (tensor - 1) / tensor + (groups - 1)
    return (reductions + groups - 1) * latency_s, sent * activation * per_byte_s


def _check(model: ModelFacts, device: Device, place: Placement) -> None:
    tensor = place.tensor_parallel
    if model.heads % tensor:
        raise UsageError(
            f"tensor_parallel={tensor} does not divide the model's {model.heads} attention heads",
            "choose a divisor of them",
        )
    if model.layers < place.pipeline_parallel:
        raise UsageError(
            f"pipeline_parallel={place.pipeline_parallel} is more than the model's {model.layers} layers"
        )
    if tensor * place.pipeline_parallel > 1 and device.link_gb_per_s is None:
        raise UsageError(
            f"{device.title} has no link_gb_per_s, so it cannot be one of {tensor * place.pipeline_parallel} devices",
            "add it to the device sheet",
        )
