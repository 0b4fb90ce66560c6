"""Whom to wake: the ranks of a plan, of a pattern of hosts and ports, or addresses as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from inferometer.client.endpoint import target_of
from inferometer.engines.nodes.processes import url_of
from inferometer.engines.nodes.warmup import Rank
from inferometer.errors import EndpointError, UsageError
from inferometer.spec import Endpoint


def pattern_urls(hosts: Sequence[str], ranks: int, base_port: int, port_step: int) -> tuple[str, ...]:
    """Addresses of ranks that fill one host after the other; the port goes on from host to host.

    Raises:
        UsageError: the hosts do not share the ranks evenly, or the last port is none.
    """
    if not hosts or ranks < 1 or ranks % len(hosts):
        raise UsageError(
            f"{ranks} ranks do not share {len(hosts)} hosts evenly", "correct --hosts or --ranks"
        )
    last = base_port + (ranks - 1) * port_step
    if not 0 < base_port <= last <= 65535:
        raise UsageError(f"the ports go from {base_port} to {last}", "they have to be between 1 and 65535")
    each = ranks // len(hosts)
    return tuple(url_of(hosts[rank // each], base_port + rank * port_step) for rank in range(ranks))


def ranks_of(urls: Sequence[str], credentials: Mapping[str, str], environ: Mapping[str, str]) -> list[Rank]:
    """Ranks to wake, in the order of their addresses; one whose host has no address says so in ``unknown``.

    Args:
        urls: with or without a path such as /v1.
        credentials: fields of an endpoint that hold them.
        environ: the environment; its proxy variables are looked at.

    Raises:
        UsageError: an address or a key cannot be used.
    """
    found: list[Rank] = []
    for rank, url in enumerate(urls):
        try:
            endpoint = Endpoint.model_validate({"url": url, **credentials})
        except ValidationError as error:
            wrong = error.errors()[0]
            text = wrong["msg"].removeprefix("Value error, ")
            if "url" not in wrong["loc"]:
                raise UsageError(f"API key: {text}", "correct --api-key or OPENAI_API_KEY") from None
            raise UsageError(f"{url!r}: {text}", "write http://HOST:PORT") from None
        if any(endpoint.url == rank.url for rank in found):
            raise UsageError(f"{endpoint.url} is given more than once", "name each rank once")
        try:
            target, unknown = target_of(endpoint, environ).target, None
        except EndpointError as error:
            target, unknown = None, error.message.replace(" of --url", "")  # it may come from a plan
        found.append(Rank(rank=rank, url=endpoint.url, target=target, unknown=unknown))
    return found
