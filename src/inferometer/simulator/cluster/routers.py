"""Which instance a request goes to: what gateways in front of engines do, as small strategies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from inferometer.simulator.cluster.service import RouterName

# The defaults of cache_aware in vLLM's router (v0.1.15) and SGLang's gateway (v0.3.1), which are the same.
_CACHE_THRESHOLD = 0.3
_BALANCE_ABS_THRESHOLD = 64
_BALANCE_REL_THRESHOLD = 1.5


class Router(Protocol):
    """Sends requests to instances, and is told when they have ended. Deterministic."""

    def choose(self, names: Sequence[int]) -> int:
        """The instance for a request whose prompt has blocks of these names; it is outstanding there from now on."""
        ...

    def ended(self, instance: int) -> None:
        """A request is not outstanding at ``instance`` any more."""
        ...


class RoundRobin:
    """One after the other, whatever they have to do."""

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._next = 0

    def choose(self, names: Sequence[int]) -> int:
        """See ``Router``."""
        chosen = self._next
        self._next = (chosen + 1) % self._instances
        return chosen

    def ended(self, instance: int) -> None:
        """See ``Router``."""


class LeastLoaded:
    """The instance with the fewest requests outstanding, of equal ones the next in turn (nginx least_conn).

    Requests are what gateways count, for nobody knows how long an answer will be.
    """

    def __init__(self, instances: int) -> None:
        self.loads = [0] * instances
        self._next = 0

    def choose(self, names: Sequence[int]) -> int:
        """See ``Router``."""
        loads, count = self.loads, len(self.loads)
        chosen = min(range(count), key=lambda one: (loads[one], (one - self._next) % count))
        self._next = (chosen + 1) % count
        loads[chosen] += 1
        return chosen

    def ended(self, instance: int) -> None:
        """See ``Router``."""
        self.loads[instance] -= 1


class PrefixAffinity:
    """The instance that was sent the longest prefix of a prompt before, as cache_aware of vLLM's and SGLang's routers.

    If no instance was sent more than 0.3 of the prompt's blocks, the least loaded one, of equal ones that with the
    fewest known blocks. So too, whatever is known, while the busiest has more than 64 requests over the idlest and more
    than 1.5 times as many. (llm-d adds up weighted scores of the same two things.)

    What an instance was sent is remembered up to what its pool can hold, the least recently used forgotten first. The
    router does not see what the instance has dropped, as one without KV events does not.

    Args:
        instances: to choose from.
        blocks: of an instance's pool.
    """

    def __init__(self, instances: int, blocks: int) -> None:
        self.loads = [0] * instances
        self._blocks = blocks
        self._known: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(instances)]

    def choose(self, names: Sequence[int]) -> int:
        """See ``Router``."""
        chosen = self._choose(names)
        self.loads[chosen] += 1
        known = self._known[chosen]
        for name in reversed(names):  # the head of a prefix is forgotten last
            known[name] = None
            known.move_to_end(name)
        while len(known) > self._blocks:
            known.popitem(last=False)
        return chosen

    def ended(self, instance: int) -> None:
        """See ``Router``."""
        self.loads[instance] -= 1

    def _choose(self, names: Sequence[int]) -> int:
        loads, places = self.loads, range(len(self.loads))
        idlest, busiest = min(loads), max(loads)
        if busiest - idlest <= _BALANCE_ABS_THRESHOLD or busiest <= _BALANCE_REL_THRESHOLD * idlest:
            found = [self._prefix(known, names) for known in self._known]
            if max(found) > _CACHE_THRESHOLD * len(names):
                return min(places, key=lambda one: (-found[one], loads[one]))
        return min(places, key=lambda one: (loads[one], len(self._known[one])))

    @staticmethod
    def _prefix(known: OrderedDict[int, None], names: Sequence[int]) -> int:
        for place, name in enumerate(names):
            if name not in known:
                return place
        return len(names)


def make_router(name: RouterName, instances: int, blocks: int) -> Router:
    """The router of that name, for so many instances with so many KV blocks each."""
    match name:
        case "round-robin":
            return RoundRobin(instances)
        case "least-loaded":
            return LeastLoaded(instances)
        case "prefix-affinity":
            return PrefixAffinity(instances, blocks)
