"""What an engine counts of its speculative decoding: asked for beside the load, never during it.

vLLM counts drafts, draft tokens, accepted tokens, and those per position (V0 draft tokens and accepted tokens only).
SGLang has gauges of its latest batch, newer versions count verification calls; without --enable-metrics it still tells
a running mean at /get_server_info. Both say how large their KV cache is, which calibrations of the simulator use; vLLM
also how many requests lost their blocks in it to others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from inferometer.client.dialects.reading import UNREADABLE, number
from inferometer.client.exposition import name_and_labels, series_of
from inferometer.client.probe import Caller, Reply, address
from inferometer.client.target import Target, resolve
from inferometer.clock import Clock
from inferometer.errors import EndpointError, UsageError

LIMIT_S = 5.0
SPECULATION = ("vllm:spec_decode_", "sglang:spec_")
BESIDE = ("vllm:generation_tokens_total", "sglang:generation_tokens_total", "sglang:num_requests_total")
CACHE_CONFIG = ("vllm:cache_config_info", "sglang:cache_config_info")
PREEMPTIONS = ("vllm:num_preemptions_total",)
TOLD = "get_server_info:avg_spec_accept_length"  # our name for what is no series of an exposition
_METRICS, _SERVER_INFO = "/metrics", "/get_server_info"
_NOT_THERE = 404


class _Infos(msgspec.Struct):
    internal_states: list[dict[str, object]] = []


class CounterSource:
    """One place where counters can be read, each time over a connection of its own.

    Args:
        target: the server.
        path: below its base path.
        clock: for the time limit.
        named: somebody said that counters are there; else what is no exposition means that there are none.
    """

    def __init__(self, target: Target, path: str, clock: Clock, *, named: bool = False) -> None:
        self._target, self._path, self._clock, self._named = target, path, clock, named

    @property
    def name(self) -> str:
        """Its address, without secrets."""
        return address(self._target) + self._path

    def read(self, models: Collection[str]) -> dict[str, float]:
        """The series that speculation and the KV cache's size are told by, empty where there are none.

        Args:
            models: where series name one of these as their model, the others are left out.

        Raises:
            EndpointError: no answer within 5 s, or one that is no exposition though it was to be one.
        """
        caller = Caller(self._target, self._clock)
        try:
            reply = caller.call("GET", self._path, limit_s=LIMIT_S)
            if reply.head.status == _NOT_THERE and not self._named and self._path == _METRICS:
                self._path = _SERVER_INFO
                reply = caller.call("GET", self._path, limit_s=LIMIT_S)
            if self._path == _SERVER_INFO:
                return _told(reply)
            if reply.head.status == 200:
                return self._counted(reply, models)
            return self._nothing(f"answers {caller.said(reply)}")
        finally:
            caller.close()

    def _nothing(self, why: str) -> dict[str, float]:
        if self._named:
            raise EndpointError(f"{self.name} {why}", "see --metrics-url")
        return {}

    def _counted(self, reply: Reply, models: Collection[str]) -> dict[str, float]:
        try:
            found = series_of(reply.body.decode())
        except ValueError as error:
            return self._nothing(f"answers no exposition: {error}")
        cache = {series: value for series, value in found.items() if series.startswith(CACHE_CONFIG)}
        cache |= _of_asked({s: value for s, value in found.items() if s.startswith(PREEMPTIONS)}, models)
        kept = {
            series: value for series, value in found.items() if series.startswith((*SPECULATION, *BESIDE))
        }
        if not any(series.startswith(SPECULATION) for series in kept):
            return cache
        return _of_models(kept, models) | cache


def counter_sources(target: Target, urls: Iterable[str], clock: Clock) -> list[CounterSource]:
    """Where the counters of the servers of ``target`` are read: at ``urls``, else at each server's own /metrics.

    Credentials go to the servers alone, never to another address.

    Raises:
        UsageError: a URL has no usable scheme, host or port.
        EndpointError: a name cannot be resolved.
    """
    named = [_elsewhere(target, url, clock) for url in urls]
    return named or [CounterSource(server, _METRICS, clock) for server in target.servers]


def _elsewhere(target: Target, url: str, clock: Clock) -> CounterSource:
    try:
        found = resolve(url)
    except UsageError as error:
        raise UsageError(
            error.message.replace("--url", "--metrics-url"), "http://HOST:PORT/metrics"
        ) from None
    other = msgspec.structs.replace(found, ca_file=target.ca_file, insecure=target.insecure)
    own = [server for server in target.servers if server.host_header == other.host_header]
    if own and own[0].tls == other.tls:
        other = msgspec.structs.replace(own[0], base_path=other.base_path, others=[])
    return CounterSource(other, "" if other.base_path else _METRICS, clock, named=True)


def _of_models(series: dict[str, float], models: Collection[str]) -> dict[str, float]:
    """The series of the asked models, where they are named at all: a gateway shows those of all."""
    asked = {key for key in series if name_and_labels(key)[1].get("model_name") in models}
    if not any(key.startswith(SPECULATION) for key in asked):
        return series
    return {key: value for key, value in series.items() if key in asked}


def _of_asked(series: dict[str, float], models: Collection[str]) -> dict[str, float]:
    """The series of the asked models; all of them where none of these is named."""
    asked = {
        key: value for key, value in series.items() if name_and_labels(key)[1].get("model_name") in models
    }
    return asked or series


def _told(reply: Reply) -> dict[str, float]:
    """SGLang's mean since its start, over its schedulers."""
    if reply.head.status != 200:
        return {}
    try:
        states = msgspec.json.decode(reply.body, type=_Infos).internal_states
    except UNREADABLE:
        return {}
    lengths = [found for state in states if (found := number(state.get("avg_spec_accept_length")))]
    return {TOLD: sum(lengths) / len(lengths)} if lengths else {}
