"""Instances of one kind behind a router."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.cluster.groups import Group, Lockstep, Lone
from inferometer.simulator.cluster.routers import make_router
from inferometer.simulator.cluster.service import RouterName, Service
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.stepped import AnyInstance, AnySequence, SteppedInstance, make_instance
from inferometer.spec import derive_seed

_FORGET_EVERY = 256  # answers of an instance, after which what only their token times needed is dropped


class Fleet:
    """Instances alike, the router before them, and what of them is measured.

    Attributes:
        limits: of each.
        groups: those that are run as one.
    """

    def __init__(
        self, limits: EngineLimits, members: list[AnyInstance], groups: list[Group], router: RouterName
    ) -> None:
        self.limits = limits
        self.groups = groups
        self._members: list[Any] = list(members)
        self._router = make_router(router, len(members), limits.kv_blocks)
        self._ended = [0] * len(members)

    def __len__(self) -> int:
        return len(self._members)

    def choose(self, names: tuple[int, ...] | None) -> int:
        """The instance for a request, by the router; it counts as outstanding there until ``ended``."""
        return self._router.choose(names or ())

    def add(self, instance: int, job: Job, arrival_ns: float) -> AnySequence:
        """Hand a request to an instance."""
        sequence: AnySequence = self._members[instance].add(job, arrival_ns)
        return sequence

    def group(self, instance: int) -> Group:
        """What ``instance`` is run with."""
        return self.groups[instance if len(self.groups) > 1 else 0]

    def token_times_ns(self, instance: int, sequence: AnySequence) -> NDArray[np.float64]:
        """When each token of a sequence was given, as far as it is."""
        times_ns: NDArray[np.float64] = self._members[instance].token_times_ns(sequence)
        return times_ns

    def ended(self, instance: int) -> None:
        """A request of an instance has ended, and its token times were read."""
        self._router.ended(instance)
        self._ended[instance] += 1
        if self._ended[instance] % _FORGET_EVERY == 0:
            self._members[instance].forget_times()

    @property
    def steps(self) -> int:
        """Of all instances."""
        return sum(member.steps for member in self._members)

    def busy_ns(self, end_ns: int) -> tuple[int, ...]:
        """By instance, time until then in which a step ran; of ranks in lockstep without their dummy steps.

        A step that is under way then must be the latest of its instance.
        """
        return tuple(round(member.busy_ns - max(0.0, member.now_ns - end_ns)) for member in self._members)

    @property
    def kv_peak_blocks(self) -> tuple[int, ...]:
        """By instance, most blocks that were held during a step."""
        return tuple(member.kv_blocks_peak for member in self._members)


def answering(service: Service) -> Fleet:
    """The instances that answer; they decode alone where there are others for prefill."""
    limits, model = service.limits, service.model
    seeds = [derive_seed(service.seed, f"instance-{place}") for place in range(service.instances)]
    # The prefill instances have used what is known of prompts.
    affine = service.prefill and service.router == "prefix-affinity"
    router: RouterName = "least-loaded" if affine else service.router
    if service.lockstep:
        ranks = [SteppedInstance(limits, model, seed=seed, timeline=True) for seed in seeds]
        return Fleet(limits, [*ranks], [Lockstep(ranks, model)], router)
    ready = service.prefill > 0
    members = [make_instance(limits, model, seed=seed, timeline=True, ready=ready) for seed in seeds]
    return Fleet(limits, members, [Lone(member) for member in members], router)


def prefilling(service: Service) -> Fleet | None:
    """The instances that compute prompts and first tokens alone, if there are any."""
    if not service.prefill:
        return None
    limits = service.prefill_limits or service.limits
    model = service.prefill_model or service.model
    seeds = [derive_seed(service.seed, f"prefill-{place}") for place in range(service.prefill)]
    members = [make_instance(limits, model, seed=seed) for seed in seeds]
    return Fleet(limits, members, [Lone(member) for member in members], service.router)
