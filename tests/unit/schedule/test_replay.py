"""Recorded arrivals on their way to the workers, and what each worker makes of them."""

from hypothesis import given
from hypothesis import strategies as st

from inferometer.schedule import OpenLoop, Shard, make_schedule, owner_of, pack_offsets, unpack_offsets
from inferometer.spec import LoadPoint

REPLAYED = LoadPoint(
    index=1,
    kind="measure",
    max_concurrency=None,
    request_rate=None,
    burstiness=1.0,
    num_prompts=5,
    duration_s=None,
    input_len=None,
    output_len=None,
    seed=0,
    trace=True,
    trace_speed=20.0,
)


@given(st.lists(st.integers(min_value=-(2**62), max_value=2**62)))
def test_offsets_arrive_as_they_were_sent(offsets):
    data = pack_offsets(offsets)
    assert len(data) == 8 * len(offsets)
    assert list(unpack_offsets(data)) == offsets


def test_bytes_are_the_same_on_every_machine():
    assert pack_offsets([1, 258]) == bytes([1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0])


def test_a_replayed_trace_is_an_open_loop_over_its_own_times():
    schedule = make_schedule(REPLAYED, recorded=pack_offsets([0, 0, 7, 9, 9]))
    assert isinstance(schedule, OpenLoop)
    taken = []
    while not schedule.exhausted():
        taken.append((schedule.wake_ns(), schedule.take()[:2]))
    assert taken == [(0, (0, 0)), (0, (1, 0)), (7, (2, 7)), (9, (3, 9)), (9, (4, 9))]


def test_workers_share_the_arrivals_of_a_trace_in_turn():
    recorded = pack_offsets([0, 1, 2, 3, 4])
    shares = [make_schedule(REPLAYED, Shard(worker, 2), recorded) for worker in (0, 1)]
    taken = [[], []]
    for worker, schedule in enumerate(shares):
        while not schedule.exhausted():
            taken[worker].append(schedule.take().request)
    assert taken == [[0, 2, 4], [1, 3]]
    assert [owner_of(REPLAYED, index, 2) for index in range(5)] == [0, 1, 0, 1, 0]
