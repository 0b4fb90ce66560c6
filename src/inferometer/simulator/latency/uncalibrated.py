"""A profile of an engine that nobody measured: from a model's sizes and a device's sheet, and honest about it."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.devices import Device
from inferometer.simulator.latency.facts import ModelFacts
from inferometer.simulator.latency.memory import MemoryHabits, plan_memory
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance
from inferometer.simulator.latency.roofline import Placement, priors, touched_experts

PRIOR_SD = {
    "weights_s": 0.2,
    "token_s": 0.3,
    "kv_token_s": 0.4,
    "attention_s": 0.5,
    "comm_token_s": 0.5,
    "step_s": 0.7,
    "sequence_s": 0.7,
    "prompt_step_s": 0.7,
    "arrival_s": 0.7,
    "first_token_s": 0.7,
}
"""Standard deviations of the logarithm of each coefficient about its prior: what a kernel reaches of a peak differs by
a fifth to a half from engine to engine, what a host takes by a factor of two."""
_MEMBERS = 20


def uncalibrated(
    model: ModelFacts,
    device: Device,
    *,
    placement: Placement | None = None,
    limits: EngineLimits | None = None,
    utilization: float | None = 0.9,
    seed: int = 0,
) -> Profile:
    """The profile of the priors, with an ensemble as wide as the priors are uncertain.

    KV blocks are those that fit the memory; with ``utilization`` None, those of the limits. ``max_model_len`` of the
    limits is cut to what the blocks hold, as engines do that are asked for a length that fits ("auto").

    Raises:
        UsageError: the model does not fit, or cannot be split that way.
    """
    place, limits = placement or Placement(), limits or EngineLimits()
    best = priors(model, device, place)
    if utilization is not None:
        limits = _fitted(model, device, place, limits, utilization)
    chooser = np.random.default_rng(seed)
    return Profile(
        coefficients=best,
        limits=limits,
        ensemble=tuple(_drawn(best, chooser) for _ in range(_MEMBERS)),
        experts=touched_experts(model),
        device=device.title,
        model=model,
        placement=place,
        provenance=Provenance(
            method="priors",
            unseen=tuple(PRIOR_SD),
            notes=("nothing was measured: sizes of the model and the device sheet alone",),
        ),
    )


def _fitted(
    model: ModelFacts, device: Device, place: Placement, limits: EngineLimits, utilization: float
) -> EngineLimits:
    """The limits with the KV blocks that the memory has room for."""
    whole_prompts = limits.scheduler != "chunked"
    habits = MemoryHabits(
        utilization=utilization,
        activation_tokens=limits.max_model_len if whole_prompts else limits.max_num_batched_tokens,
        max_num_seqs=limits.max_num_seqs,
        block_tokens=limits.block_tokens,
    )
    plan = plan_memory(model, device, place, habits)
    return msgspec.structs.replace(
        limits, kv_blocks=plan.kv_blocks, max_model_len=min(limits.max_model_len, plan.kv_tokens)
    )


def _drawn(best: Coefficients, chooser: np.random.Generator) -> Coefficients:
    changed = {
        name: getattr(best, name) * math.exp(float(chooser.normal(0.0, spread)))
        for name, spread in PRIOR_SD.items()
    }
    return msgspec.structs.replace(best, **changed)
