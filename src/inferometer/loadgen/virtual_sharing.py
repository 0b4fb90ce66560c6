"""Load points whose prompts have nothing in common are simulated without prefix cache, where that is much faster.

An instance that prefills first jumps over decoding, unless it has a prefix cache; with chunked prefill it does anyway.
Where no two prompts begin with the same block a cache finds nothing, but for requests that lost their blocks: they find
what is left of their own. So the answers are those of the service with its cache unless somebody was preempted, and
then they are worked out again with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import tee

import msgspec

from inferometer.simulator.cluster.service import Ask, Served, Service
from inferometer.simulator.instance.limits import can_jump

Serve = Callable[[Service, Iterator[Ask]], Served]


class Sharing:
    """What is known of the prompts of one load point, over all services that are simulated with it."""

    def __init__(self) -> None:
        self.found = False
        self._first: set[int] = set()

    def served(self, serve: Serve, service: Service, asks: Iterator[Ask]) -> Served:
        """What ``serve`` gives for ``service``.

        Args:
            serve: simulates the load point.
            service: that is simulated.
            asks: of the load point; the same for each service.
        """
        plain = without_cache(service)
        if plain is None or self.found:
            return serve(service, asks)
        asks, again = tee(asks)
        self._first = set()
        served = serve(plain, self._watched(asks))
        if not self.found and not any(answer.preemptions for answer in served.answers):
            return served
        return serve(service, again)

    def _watched(self, asks: Iterator[Ask]) -> Iterator[Ask]:
        """A name of a block stands for all before it, so prompts have something in common if they begin alike."""
        for ask in asks:
            begin = ask.names[0] if ask.names else None
            if ask.later or begin in self._first:
                self.found = True
            if begin is not None:
                self._first.add(begin)
            yield ask


def without_cache(service: Service) -> Service | None:
    """The service without prefix caches; None if that is not faster, or a router looks at them."""
    limits, prefill = service.limits, service.prefill_limits
    plain = msgspec.structs.replace(limits, prefix_cache=False)
    if can_jump(limits) or not can_jump(plain) or service.router == "prefix-affinity":
        return None
    return msgspec.structs.replace(
        service,
        limits=plain,
        prefill_limits=None if prefill is None else msgspec.structs.replace(prefill, prefix_cache=False),
    )
