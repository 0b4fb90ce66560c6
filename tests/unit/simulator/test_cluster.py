"""Load points against simulated services, as stories whose times can be added up by hand: a step takes 10 ms."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from inferometer.errors import UsageError
from inferometer.schedule import ClosedLoop, OpenLoop
from inferometer.simulator.cluster.routers import LeastLoaded, PrefixAffinity, RoundRobin
from inferometer.simulator.cluster.service import Answered, Ask, Later, Served, Service, Transfer
from inferometer.simulator.cluster.serving import serve_point
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.simulate import Overheads, simulate
from inferometer.simulator.latency.model import Coefficients, LinearModel

_MS = 1_000_000
_STEP = LinearModel(Coefficients(weights_s=0.0, token_s=0.0, step_s=0.01))
_PER_TOKEN = LinearModel(Coefficients(weights_s=0.0, token_s=0.001, step_s=0.0))
_LINK = Transfer(bytes_per_token=1000.0, bytes_per_s=1e6, latency_s=0.005)


def service(*, cache: bool = False, kv_blocks: int = 1000, **given: object) -> Service:
    limits = EngineLimits(
        block_tokens=4, kv_blocks=kv_blocks, max_model_len=kv_blocks * 4, prefix_cache=cache
    )
    return Service(**{"limits": limits, "model": _STEP} | given)  # type: ignore[arg-type]


def at_ms(*due: int) -> OpenLoop:
    return OpenLoop(iter([each * _MS for each in due]))


def ask(prompt: int = 8, output: int = 2, *later: tuple[int, int, float]) -> Ask:
    turns = tuple(Later(new_tokens=new, output_tokens=out, think_s=think) for new, out, think in later)
    return Ask(prompt_tokens=prompt, output_tokens=output, later=turns)


def tokens_ms(answer: Answered) -> list[float]:
    return (answer.tokens_ns / _MS).tolist()  # type: ignore[no-any-return]


def test_a_request_pays_its_way_there_and_back_and_waits_for_the_step_under_way() -> None:
    lags = Overheads(arrival_s=0.003, reply_s=0.002)
    served = serve_point(service(overheads=lags), iter([ask(8, 3), ask(8, 1)]), at_ms(0, 1))
    first, second = served.answers
    assert tokens_ms(first) == [15, 25, 35]  # the step from 3 to 13 is there 2 later
    assert (second.scheduled_ns, tokens_ms(second)) == (13 * _MS, [25])
    assert (served.end_ns, served.busy_ns, served.steps) == (35 * _MS, (30 * _MS,), 3)


def test_those_that_are_sent_in_one_instant_come_one_after_the_other() -> None:
    """Else the answers of a closed loop of equal lengths would begin and end together for ever, as no real ones do."""
    apart = service(overheads=Overheads(arrival_s=0.003, handling_s=0.004))
    served = serve_point(apart, iter([ask(8, 2) for _ in range(4)]), ClosedLoop(2, 4))
    first, second, third, fourth = served.answers
    # The first takes the step from 3 to 13; the second, there at 7, the one after it.
    assert [tokens_ms(each) for each in (first, second)] == [[13, 23], [23, 33]]
    assert [(each.sent_ns, tokens_ms(each)) for each in (third, fourth)] == [
        (23 * _MS, [43, 53]),
        (33 * _MS, [53, 63]),
    ]


@pytest.mark.parametrize("clients", [None, 3])
def test_apart_or_not_one_instance_is_that_of_a_list_of_jobs(clients: int | None) -> None:
    overheads = Overheads(arrival_s=0.003, reply_s=0.001, handling_s=0.0007)
    limits = EngineLimits(block_tokens=4, kv_blocks=1000, max_model_len=4000)
    jobs = [Job(prompt_tokens=30 + i % 3, output_tokens=5, arrival_ns=0) for i in range(12)]
    schedule = at_ms(*[0] * 12) if clients is None else ClosedLoop(clients, 12)
    asks = iter([ask(job.prompt_tokens, job.output_tokens) for job in jobs])
    served = serve_point(service(limits=limits, model=_PER_TOKEN, overheads=overheads), asks, schedule)
    listed = simulate(jobs, limits, _PER_TOKEN, clients=clients, overheads=overheads)
    ends_ns = sorted(answer.tokens_ns[-1] for answer in served.answers)
    assert ends_ns == pytest.approx(sorted(listed.last_token_s * 1e9), abs=1)


def test_a_session_keeps_its_permit_and_finds_its_turns_in_the_cache() -> None:
    asks = [ask(8, 4, (5, 4, 0.1), (3, 2, 0.2)), ask(4, 1)]
    served = serve_point(service(cache=True), iter(asks), ClosedLoop(1, 2))
    turns, other = served.answers[:3], served.answers[3]
    assert [(turn.turn, turn.prompt_tokens, turn.cached_tokens) for turn in turns] == [
        (0, 8, 0),
        (1, 8 + 4 + 5, 8),  # of 12, the last one's KV entries were never computed
        (2, 17 + 4 + 3, 20),
    ]
    assert [turn.sent_ns for turn in turns] == [0, 140 * _MS, 380 * _MS]
    assert (other.request, other.sent_ns, other.cached_tokens) == (1, 400 * _MS, 0)


def test_what_does_not_fit_is_refused_and_frees_its_permit() -> None:
    asks = [ask(3990, 20), ask(3000, 10, (990, 10, 0.0), (1, 1, 0.0)), ask()]
    served = serve_point(service(overheads=Overheads(reply_s=0.004)), iter(asks), ClosedLoop(1, 3))
    long, first, second, last = served.answers
    assert long.refused == "3990 prompt + 20 output tokens exceed the context of 4000 tokens"
    assert len(long.tokens_ns) == 0
    assert (first.refused, first.sent_ns) == (None, 4 * _MS)
    assert (second.turn, second.prompt_tokens) == (1, 4000)
    assert second.refused is not None
    assert last.sent_ns == second.sent_ns + 4 * _MS  # the third turn was never sent


def test_refusals_alone_come_to_an_end() -> None:
    loop = ClosedLoop(1, None, 100 * _MS)
    served = serve_point(service(), iter(lambda: ask(5000, 1), None), loop, until_ns=100 * _MS)
    assert len(served.answers) == 100


@pytest.mark.parametrize("drain", ["wait", "cut"])
def test_the_end_of_the_time_is_waited_for_or_cuts(drain: str) -> None:
    asks = [ask(8, 3, (4, 2, 0.0)), ask(8, 5), ask(8, 1)]
    served = serve_point(service(), iter(asks), at_ms(0, 1, 35), until_ns=34 * _MS, drain=drain)  # type: ignore[arg-type]
    first, second, third = served.answers
    assert (first.cut, tokens_ms(first)) == (False, [10, 20, 30])
    assert (second.request, third.turn) == (1, 1)  # the last request was due too late
    if drain == "wait":
        assert (tokens_ms(second), tokens_ms(third)) == ([20, 30, 40, 50, 60], [40, 50])
        assert served.end_ns == 60 * _MS
    else:
        assert (second.cut, tokens_ms(second)) == (True, [20, 30])
        assert (third.cut, tokens_ms(third), third.scheduled_ns) == (True, [], 30 * _MS)
        assert served.end_ns == 34 * _MS
        assert served.busy_ns == (34 * _MS,)  # the step under way is over at 40


def test_asks_that_end_before_the_schedule_end_the_point() -> None:
    assert len(serve_point(service(), iter([ask(), ask()]), ClosedLoop(4)).answers) == 2


def test_who_watches_may_end_it() -> None:
    seen: list[tuple[int, int]] = []

    def watch(now_ns: int, done: int) -> bool:
        seen.append((now_ns, done))
        return len(seen) == 2

    served = serve_point(service(), iter(ask, None), ClosedLoop(4), watch=watch)
    assert len(seen) == 2
    assert seen[0] < seen[1]
    finished = [answer for answer in served.answers if not answer.cut]
    assert (len(finished), served.end_ns) == (seen[1][1], seen[1][0])
    assert 0 < len(served.answers) - len(finished) <= 4


def test_prefill_elsewhere_gives_the_first_token_and_the_second_comes_after_the_transfer() -> None:
    parts = service(instances=1, prefill=1, transfer=_LINK, overheads=Overheads(reply_s=0.001))
    served = serve_point(parts, iter([ask(8, 3), ask(4, 2), ask(4, 1)]), at_ms(0, 0, 0))
    first, second, alone = served.answers
    # All prompts are over at 10. The link carries 8 ms of the first, then 4 of the second, 5 on the way each.
    assert tokens_ms(first) == [11, 34, 44]  # 23 -> 33 -> 43
    assert tokens_ms(second) == [11, 44]  # comes at 27, in the step that begins at 33
    assert tokens_ms(alone) == [11]  # has nothing to go on with
    assert [answer.instance for answer in served.answers] == [1, 1, 0]
    assert served.busy_ns == (10 * _MS, 20 * _MS)


def test_an_instance_that_decodes_waits_for_blocks_and_computes_anew_what_it_lost() -> None:
    limits = EngineLimits(block_tokens=4, kv_blocks=5, max_model_len=20)
    fast = Transfer(bytes_per_token=0.0, bytes_per_s=1e9)
    parts = service(limits=limits, prefill_limits=EngineLimits(), prefill=1, transfer=fast)
    served = serve_point(parts, iter([ask(10, 4), ask(7, 9)]), at_ms(0, 0))
    first, second = served.answers
    assert tokens_ms(first) == [10, 20, 30, 40]
    assert second.preemptions == 1  # 3 blocks and 2; the first takes a fourth at 30
    assert tokens_ms(second) == [10, 20, *range(50, 120, 10)]
    assert served.kv_peak_blocks[1] == 5


def test_ranks_in_lockstep_wait_for_the_longest_of_them() -> None:
    ranks = service(model=_PER_TOKEN, instances=2, lockstep=True)
    served = serve_point(ranks, iter([ask(40, 2), ask(10, 2), ask(5, 1)]), at_ms(0, 0, 1))
    first, second, third = served.answers
    assert (tokens_ms(first), tokens_ms(second)) == (
        [40, 46],
        [40, 46],
    )  # 10 waits for 40, then 1 + 5 on one rank
    assert (third.instance, third.scheduled_ns, tokens_ms(third)) == (0, 40 * _MS, [46])
    lone = serve_point(ranks, iter([ask(40, 2), ask(10, 2)]), at_ms(0, 5))
    assert lone.answers[1].scheduled_ns == 40 * _MS  # its rank had nothing to do, and took part
    assert lone.busy_ns == (50 * _MS, 11 * _MS)


def test_routers_choose_in_turn_or_by_load() -> None:
    in_turn, by_load = RoundRobin(3), LeastLoaded(3)
    assert [in_turn.choose(()) for _ in range(4)] == [0, 1, 2, 0]
    assert [by_load.choose(()) for _ in range(5)] == [0, 1, 2, 0, 1]
    by_load.ended(0)
    by_load.ended(0)
    assert [by_load.choose(()) for _ in range(3)] == [0, 2, 0]  # of the equal ones 0 and 2 the next in turn


def test_affinity_goes_where_the_prefix_is_unless_it_is_crowded_there() -> None:
    router = PrefixAffinity(2, blocks=8)
    assert router.choose((1, 2, 3)) == 0
    assert router.choose((11, 12)) == 1
    assert router.choose((1, 2, 3, 4)) == 0
    assert router.choose((11, 22, 23, 24)) == 1  # a quarter of it is not enough: the one with less to do
    assert [router.choose((1, 2)) for _ in range(65)] == [0] * 65
    assert router.choose((1, 2)) == 1  # 67 there and 2 here
    assert router.choose((1, 2, 3)) == 0  # 64 more are not too many
    assert router.choose((1, 2)) == 1  # known to both
    small = PrefixAffinity(2, blocks=2)
    assert [small.choose((1, 2)), small.choose((3, 4)), small.choose((5, 6))] == [0, 1, 0]
    small.ended(1)
    assert small.choose((1, 2)) == 1  # forgotten: two blocks are all there are


def test_affinity_of_a_service_keeps_sessions_where_their_cache_is() -> None:
    def found(router: str) -> float:
        asks = [ask(40, 4, *[(8, 4, 0.01)] * 5) for _ in range(9)]
        parts = service(cache=True, instances=3, router=router)
        served = serve_point(parts, iter(asks), at_ms(*range(0, 900, 100)))
        return sum(answer.cached_tokens for answer in served.answers)

    assert found("prefix-affinity") == 9 * (40 + 52 + 64 + 76 + 88)
    assert found("round-robin") < 0.8 * found("prefix-affinity")


def _crowd(seed: int) -> tuple[list[Ask], Sequence[int]]:
    draw = random.Random(seed)
    lengths = [(draw.randint(1, 60), draw.randint(1, 40)) for _ in range(60)]
    arrivals = sorted(draw.randint(0, 300) for _ in lengths)
    return [ask(prompt, output) for prompt, output in lengths], arrivals


def _serve(seed: int, **given: object) -> Served:
    asks, arrivals = _crowd(seed)
    parts = service(kv_blocks=60, model=_PER_TOKEN, seed=seed, **given)
    return serve_point(parts, iter(asks), at_ms(*arrivals))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"instances": 3, "router": "least-loaded"},
        {"instances": 2, "lockstep": True},
        {"instances": 2, "prefill": 1, "transfer": _LINK},
    ],
    ids=["one", "several", "lockstep", "disaggregated"],
)
def test_nothing_is_lost_made_up_or_out_of_order(seed: int, given: dict[str, object]) -> None:
    asks, arrivals = _crowd(seed)
    served = _serve(seed, **given)
    assert [answer.request for answer in served.answers] == list(range(60))
    for answer, asked, due in zip(served.answers, asks, arrivals, strict=True):
        assert (answer.planned_ns, answer.sent_ns) == (due * _MS, due * _MS)
        assert len(answer.tokens_ns) == asked.output_tokens
        assert answer.scheduled_ns is not None
        assert answer.sent_ns <= answer.scheduled_ns < answer.tokens_ns[0]
        assert (answer.tokens_ns[1:] > answer.tokens_ns[:-1]).all()
    assert all(0 < peak <= 60 for peak in served.kv_peak_blocks)
    assert all(0 < busy <= served.end_ns for busy in served.busy_ns)
    again = _serve(seed, **given)
    assert [answer.tokens_ns.tolist() for answer in again.answers] == [
        answer.tokens_ns.tolist() for answer in served.answers
    ]


@pytest.mark.parametrize("scheduler", ["chunked", "prefill-first", "static"])
def test_no_instance_is_idle_while_one_of_its_requests_is_not_done(scheduler: str) -> None:
    limits = EngineLimits(scheduler=scheduler, block_tokens=4, kv_blocks=60, max_model_len=240)  # type: ignore[arg-type]
    served = _serve(1, limits=limits, instances=2)
    for place, busy_ns in enumerate(served.busy_ns):
        there = [answer for answer in served.answers if answer.instance == place]
        covered = end_ns = 0
        for answer in sorted(there, key=lambda answer: answer.sent_ns):
            last_ns = int(answer.tokens_ns[-1])
            covered += max(0, last_ns - max(end_ns, answer.sent_ns))
            end_ns = max(end_ns, last_ns)
        assert busy_ns == covered


def test_services_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="prefix-affinity without prefix_cache"):
        service(router="prefix-affinity")
    with pytest.raises(UsageError, match="bytes_per_s=0"):
        Transfer(bytes_per_token=1.0, bytes_per_s=0.0)
    with pytest.raises(UsageError, match="block_tokens=16 of prefill"):
        service(cache=True, prefill=1, transfer=_LINK, prefill_limits=EngineLimits(prefix_cache=True))
    static = EngineLimits(scheduler="static")
    with pytest.raises(UsageError, match="scheduler=static"):
        service(limits=static, prefill_limits=EngineLimits(), prefill=1, transfer=_LINK)
