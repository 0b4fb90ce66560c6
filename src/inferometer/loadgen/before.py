"""What is done with the servers before a load point: prompts that they count, caches emptied, prefixes warmed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from inferometer.client.dialects import BodyOptions, Dialect, path_of
from inferometer.client.prefix_cache import flush_cache
from inferometer.client.probe import Caller, address
from inferometer.client.server_tokenizer import ServerTokenizer
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import EndpointError
from inferometer.loadgen.messages import WireRequest
from inferometer.record.types import PointRecord
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload import Tokenizer
from inferometer.workload.prefix import prefix_texts

_WARM_S = 600.0  # a long prefix on a busy server takes its time


class Warm(NamedTuple):
    """A request that leaves a shared prefix in a server's cache."""

    path: str
    body: bytes


def all_made(requests: Iterator[WireRequest], tokenizer: Tokenizer) -> Iterator[WireRequest]:
    """The requests, all of them made at once where the server counts them: it must not do so beside the load."""
    if not isinstance(tokenizer, ServerTokenizer):
        return requests
    made = list(requests)
    tokenizer.close()
    return iter(made)


def warming(
    spec: RunSpec, where: tuple[LoadPoint, str], tokenizer: Tokenizer, dialect: Dialect, options: BodyOptions
) -> list[Warm]:
    """A request for each prefix that the prompts share; none where they are not to be warmed.

    Args:
        spec: says whether.
        where: the load point, and the salt of its prompts.
        tokenizer: the one that they are made with.
        dialect: builds the bodies.
        options: what the requests of the load point have in common; these ask for one token, and for no stream.
    """
    if not spec.prefix.prefix_warm or where[0].kind == "warmup":
        return []
    short = msgspec.structs.replace(options, stream=False, max_tokens=1, min_tokens=None, ignore_eos=False)
    requests = prefix_texts(spec, where[0], tokenizer, where[1])
    return [Warm(path_of(dialect, request, short), dialect.body(request, short)) for request in requests]


def make_ready(spec: RunSpec, target: Target, point: PointRecord, warm: Sequence[Warm], clock: Clock) -> None:
    """Empty the prefix caches, if asked for, then send each request of ``warm`` once, on all servers.

    What was done is noted in the load point. The warm-up needs none of it.

    Args:
        spec: what was asked for.
        target: the servers.
        point: is about to begin.
        warm: see ``warming``.
        clock: for time limits.

    Raises:
        EndpointError: a server refuses.
    """
    if point.kind == "warmup":
        return
    for server in target.servers:
        caller = Caller(server, clock)
        try:
            if spec.prefix.flush_cache:
                point.prepared.append(f"{address(server)}: {flush_cache(caller)}")
            for request in warm:
                _send(caller, request)
            if warm:
                point.prepared.append(f"{address(server)}: {len(warm)} shared prefixes sent once")
        finally:
            caller.close()


def _send(caller: Caller, request: Warm) -> None:
    reply = caller.call("POST", request.path, request.body, _WARM_S)
    if reply.head.status != 200:
        raise EndpointError(
            f"{address(caller.target)}{request.path} refuses a shared prefix: it answers {caller.said(reply)}",
            "see the server's log, or leave out --prefix-warm",
        )
