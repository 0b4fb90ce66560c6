"""A service in jumps from event to event gives what a loop over every step of every instance gives.

Costs, lags and arrivals are whole ticks of 1/512 s, thus whole nanoseconds, so that requests and steps often fall
together and neither way rounds.
"""

from __future__ import annotations

from typing import NamedTuple

from cluster_world import Reference
from hypothesis import given, settings
from hypothesis import strategies as st
from instance_world import small, some_limits

from inferometer.schedule import ClosedLoop, OpenLoop, Schedule
from inferometer.schedule.permits import WaveLoop
from inferometer.simulator.cluster.service import Ask, Later, Service, Transfer
from inferometer.simulator.cluster.serving import serve_point
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.simulate import Overheads, simulate
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.spec import derive_seed

_TICK_S = 1 / 512
_TICK_NS = 1953125
_COST = Coefficients(weights_s=_TICK_S, token_s=0.0, step_s=_TICK_S, kv_token_s=_TICK_S, sequence_s=_TICK_S)
_MODEL = LinearModel(_COST)

_later = st.builds(
    lambda new, output, think: Later(new_tokens=new, output_tokens=output, think_s=think * _TICK_S),
    st.integers(1, 8), st.integers(1, 6), st.integers(0, 20),
)  # fmt: skip


def _ask(prompt: int, output: int, family: int | None, later: list[Later]) -> Ask:
    names = None if family is None else tuple(family * 100 + place for place in range(prompt // 4))
    return Ask(prompt_tokens=prompt, output_tokens=output, names=names, later=tuple(later))


lone_asks = st.lists(
    st.builds(
        _ask, st.integers(1, 40), st.integers(1, 20), st.sampled_from([None, 0, 1]), st.just([])
    ),
    min_size=1, max_size=14,
)  # fmt: skip
asks_and_sessions = st.lists(
    st.builds(
        _ask, st.integers(1, 16), st.integers(1, 8), st.sampled_from([None, 0]),
        st.one_of(st.just([]), st.lists(_later, max_size=2)),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@st.composite
def schedules(draw: st.DrawFn, requests: int) -> tuple[Schedule, Schedule]:
    """The same schedule twice: arrivals at ticks with or without permits, permits, or rounds."""
    kind, permits = draw(st.sampled_from(["open", "bounded", "closed", "rounds"])), draw(st.integers(1, 5))
    gaps = draw(st.lists(st.integers(0, 60), min_size=requests, max_size=requests))
    offsets = [sum(gaps[: place + 1]) * _TICK_NS for place in range(requests)]

    def make() -> Schedule:
        if kind == "closed":
            return ClosedLoop(permits, requests)
        if kind == "rounds":
            return WaveLoop(permits, requests)
        return OpenLoop(iter(offsets), permits if kind == "bounded" else None)

    return make(), make()


lags = st.sampled_from([0, 0, 1, 7]).map(lambda ticks: ticks * _TICK_S)
overheads = st.builds(lambda arrival, reply: Overheads(arrival_s=arrival, reply_s=reply), lags, lags)


class Told(NamedTuple):
    """What became of a load point: of each request when it was sent, its prompt, its tokens and its place."""

    requests: list[tuple[int, int, list[int], int]]
    blocks: tuple[int, ...]
    busy_ns: tuple[int, ...]
    end_ns: int


def _served(service: Service, asks: list[Ask], schedule: Schedule) -> Told:
    served = serve_point(service, iter(asks), schedule)
    answers = sorted(served.answers, key=lambda answer: (answer.request, answer.turn))
    requests = [(one.sent_ns, one.prompt_tokens, one.tokens_ns.tolist(), one.instance) for one in answers]
    return Told(requests, served.kv_peak_blocks, served.busy_ns, served.end_ns)


def _stepped(service: Service, asks: list[Ask], schedule: Schedule) -> Told:
    """The same by the loop over all steps of all instances."""
    reference = Reference(service, asks, schedule)
    sent = reference.run()
    requests = [
        (
            one.sent_ns,
            one.prompt_tokens,
            one.times_ns,
            one.instance + service.prefill * (one.prefilled or not service.prefill),
        )
        for one in sent
    ]
    sides = [
        (one.kv_blocks_peak, busy)
        for side in reference.sides()
        for one, busy in zip(side.instances, side.busy_ns, strict=True)
    ]
    end_ns = max(one.times_ns[-1] for one in sent)
    return Told(requests, tuple(peak for peak, _ in sides), tuple(busy for _, busy in sides), end_ns)


@settings(max_examples=80)
@given(st.data(), lone_asks, some_limits, st.integers(1, 3), overheads)
def test_no_request_comes_too_late_for_its_step_under_any_limits(
    data: st.DataObject, asks: list[Ask], limits: EngineLimits, instances: int, lags: Overheads
) -> None:
    router, lockstep = data.draw(st.sampled_from(["round-robin", "least-loaded"])), data.draw(st.booleans())
    service = Service(
        limits=limits, model=_MODEL, overheads=lags, instances=instances, router=router, lockstep=lockstep, seed=3
    )  # fmt: skip
    quick, slow = data.draw(schedules(len(asks)))
    assert _served(service, asks, quick) == _stepped(service, asks, slow)


@settings(max_examples=100)
@given(st.data(), asks_and_sessions, st.integers(1, 3), overheads)
def test_sessions_on_instances_that_jump_under_pressure(
    data: st.DataObject, asks: list[Ask], instances: int, lags: Overheads
) -> None:
    scheduler = data.draw(st.sampled_from(["chunked", "prefill-first"]))
    order, cache = data.draw(st.sampled_from(["fcfs", "shortest"])), data.draw(st.booleans())
    limits = small(
        scheduler=scheduler, order=order, max_num_seqs=8, block_tokens=2, kv_blocks=40, max_model_len=80,
        prefix_cache=cache,
    )  # fmt: skip
    router = "prefix-affinity" if cache else data.draw(st.sampled_from(["round-robin", "least-loaded"]))
    service = Service(limits=limits, model=_MODEL, overheads=lags, instances=instances, router=router)
    quick, slow = data.draw(schedules(len(asks)))
    assert _served(service, asks, quick) == _stepped(service, asks, slow)


@settings(max_examples=60)
@given(st.data(), asks_and_sessions, st.integers(1, 2), st.integers(1, 2))
def test_prefill_elsewhere_with_links_that_queue(
    data: st.DataObject, asks: list[Ask], instances: int, prefill: int
) -> None:
    scheduler, cache = data.draw(st.sampled_from(["chunked", "prefill-first"])), data.draw(st.booleans())
    limits = small(
        scheduler=scheduler, max_num_seqs=data.draw(st.sampled_from([2, 8])), block_tokens=2, kv_blocks=40,
        max_model_len=80, prefix_cache=cache,
    )  # fmt: skip
    service = Service(
        limits=limits,
        model=_MODEL,
        instances=instances,
        router="least-loaded",
        prefill=prefill,
        prefill_limits=small(
            max_num_batched_tokens=32, block_tokens=2, kv_blocks=40, max_model_len=80, prefix_cache=cache
        ),
        transfer=Transfer(
            bytes_per_token=1.0, bytes_per_s=512.0 / data.draw(st.integers(1, 9)), latency_s=_TICK_S
        ),
    )
    quick, slow = data.draw(schedules(len(asks)))
    assert _served(service, asks, quick) == _stepped(service, asks, slow)


@settings(max_examples=50)
@given(lone_asks, some_limits, overheads, st.sampled_from([None, 1]))
def test_one_instance_is_what_simulate_says(
    asks: list[Ask], limits: EngineLimits, lags: Overheads, clients: int | None
) -> None:
    jobs = [
        Job(
            prompt_tokens=ask.prompt_tokens,
            output_tokens=ask.output_tokens,
            names=ask.names,
            arrival_ns=0 if clients else place * 7 * _TICK_NS,
        )
        for place, ask in enumerate(asks)
    ]
    arrivals = [job.arrival_ns for job in jobs]
    schedule = ClosedLoop(1, len(asks)) if clients else OpenLoop(iter(arrivals))
    served = serve_point(Service(limits=limits, model=_MODEL, overheads=lags), iter(asks), schedule)
    seed = derive_seed(0, "instance-0")
    outcome = simulate(jobs, limits, _MODEL, clients=clients, overheads=lags, seed=seed)
    assert [answer.tokens_ns[-1] for answer in served.answers] == (
        outcome.last_token_s * 1e9
    ).round().tolist()
    assert [answer.tokens_ns[0] for answer in served.answers] == (
        outcome.first_token_s * 1e9
    ).round().tolist()
    assert [answer.scheduled_ns for answer in served.answers] == (outcome.scheduled_s * 1e9).round().tolist()
    assert served.steps == outcome.steps
    assert sum(answer.preemptions for answer in served.answers) == outcome.preemptions
