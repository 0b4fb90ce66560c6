"""Prompts that have nothing in common are simulated without prefix cache, and give what they give with it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from inferometer.loadgen.virtual_sharing import Sharing, without_cache
from inferometer.schedule import make_schedule
from inferometer.simulator.cluster.service import Ask, Later, Served, Service
from inferometer.simulator.cluster.serving import serve_point
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.spec import LoadPoint, RunSpec, load_points

ROOMY = EngineLimits(
    scheduler="prefill-first",
    max_num_seqs=8,
    max_num_batched_tokens=64,
    block_tokens=4,
    kv_blocks=400,
    max_model_len=128,
    prefix_cache=True,
)
SERVICE = Service(
    limits=ROOMY, model=LinearModel(Coefficients(weights_s=1e-3, token_s=1e-4, step_s=1e-3, kv_token_s=1e-6))
)


class Serve:
    """Serves a closed loop of 8, and remembers with which limits."""

    def __init__(self, count: int) -> None:
        spec = RunSpec.model_validate(
            {"simulation": {"profile": "any.json"}, "load": {"max_concurrency": 8, "num_prompts": count}}
        )
        self._point: LoadPoint = load_points(spec)[0]
        self.caching: list[bool] = []

    def __call__(self, service: Service, asks: Iterator[Ask]) -> Served:
        self.caching.append(service.limits.prefix_cache)
        return serve_point(service, asks, make_schedule(self._point))


def apart(count: int, output: int = 20) -> list[Ask]:
    return [
        Ask(prompt_tokens=30 + number, output_tokens=output, names=tuple(range(number * 50, number * 50 + 7)))
        for number in range(count)
    ]


def told(served: Served) -> list[tuple[list[int], int]]:
    return [(answer.tokens_ns.tolist(), answer.preemptions) for answer in served.answers]


def test_the_answers_are_those_of_the_service_with_its_cache() -> None:
    serve = Serve(24)
    found = Sharing().served(serve, SERVICE, iter(apart(24)))
    assert serve.caching == [False]
    assert told(found) == told(Serve(24)(SERVICE, iter(apart(24))))


def test_with_preempted_requests_they_are_worked_out_with_the_cache() -> None:
    tight = msgspec.structs.replace(SERVICE, limits=msgspec.structs.replace(ROOMY, kv_blocks=32))
    serve = Serve(24)
    found = Sharing().served(serve, tight, iter(apart(24, output=60)))
    assert serve.caching == [False, True]
    assert sum(answer.preemptions for answer in found.answers) > 0
    assert told(found) == told(Serve(24)(tight, iter(apart(24, output=60))))


def test_once_prompts_are_known_to_begin_alike_the_cache_is_there_at_once() -> None:
    alike = [Ask(prompt_tokens=30, output_tokens=5, names=(1, 2, 10 * number)) for number in range(10)]
    serve, sharing = Serve(10), Sharing()
    first = sharing.served(serve, SERVICE, iter(alike))
    sharing.served(serve, SERVICE, iter(alike))
    assert serve.caching == [False, True, True]
    assert max(answer.cached_tokens for answer in first.answers) == 8


def test_turns_of_a_session_have_their_past_in_common() -> None:
    turn = Later(new_tokens=8, output_tokens=4)
    serve, sharing = Serve(1), Sharing()
    sharing.served(
        serve, SERVICE, iter([Ask(prompt_tokens=30, output_tokens=5, names=tuple(range(7)), later=(turn,))])
    )
    assert (serve.caching, sharing.found) == ([False, True], True)


def test_a_service_without_caches_or_with_a_router_that_looks_at_them_stays_as_it_is() -> None:
    plain = msgspec.structs.replace(SERVICE, limits=msgspec.structs.replace(ROOMY, prefix_cache=False))
    assert without_cache(plain) is None
    chunked = msgspec.structs.replace(SERVICE, limits=msgspec.structs.replace(ROOMY, scheduler="chunked"))
    assert without_cache(chunked) is None  # which jumps with its cache
    assert without_cache(msgspec.structs.replace(SERVICE, router="prefix-affinity")) is None
