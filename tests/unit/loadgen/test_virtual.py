"""Requests as asks of a simulated service, its answers as rows, and numbers of these."""

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.loadgen.virtual_asks import Asking, check_lengths, length_notes
from inferometer.loadgen.virtual_figures import figures_of, load_of, predicted
from inferometer.loadgen.virtual_goodput import goodput_of
from inferometer.loadgen.virtual_names import BlockNames
from inferometer.loadgen.virtual_rows import Rows, given_up, unsent
from inferometer.metrics.slo import RequestLimit
from inferometer.record.types import ChunkKind
from inferometer.simulator.cluster.service import Answered, Service
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients, LinearModel
from inferometer.simulator.latency.profile import Noise, Profile, Provenance
from inferometer.spec import RunSpec, Sampling, Sessions, Workload, load_points
from inferometer.spec.simulation import Simulation
from inferometer.workload import Request, Turn

COEFFICIENTS = Coefficients(weights_s=0.0, token_s=0.001, step_s=0.01)
FILE = Workload(dataset="custom", dataset_path="/dev/null")


class Words:
    """A token a word."""

    name, exact = "words", True

    def encode(self, text):
        return [ord(word[0]) for word in text.split()]

    def count(self, text):
        return len(text.split())


def service(*, prefix_cache=False):
    return Service(
        limits=EngineLimits(prefix_cache=prefix_cache, block_tokens=4), model=LinearModel(COEFFICIENTS)
    )


def asking(spec=None, *, prefix_cache=False, point=None):
    spec = spec or RunSpec(simulation=Simulation(profile="p.json"), workload=FILE)
    point = point or load_points(spec)[0]
    return Asking(spec, point, Words(), service(prefix_cache=prefix_cache))


@pytest.mark.parametrize(
    ("sampling", "own", "asked", "given"),
    [
        (Sampling(), 30, 30, 30),  # as long as the data set's own
        (Sampling(max_tokens=20), 30, 20, 20),
        (Sampling(max_tokens=50), 30, 50, 30),
        (Sampling(max_tokens=50, ignore_eos=True), 30, 50, 50),
        (Sampling(max_tokens=50, min_tokens=40), 30, 50, 40),
        (Sampling(max_tokens=50), None, 50, 50),
    ],
)
def test_an_answer_is_as_long_as_it_would_be(sampling, own, asked, given):
    spec = RunSpec(simulation=Simulation(profile="p.json"), workload=FILE, sampling=sampling)
    made = asking(spec)
    (ask,) = made.asks(iter([Request(text="a b c", output_tokens_target=own)]))
    assert (ask.prompt_tokens, ask.output_tokens, ask.names) == (3, given, None)
    assert made.asked[0].answers == ((asked, given),)


def test_an_answer_of_unknown_length_is_refused():
    spec = RunSpec(simulation=Simulation(profile="p.json"), workload=FILE)
    request = Request(text="a", row=7)
    with pytest.raises(UsageError, match=r"row 7 .* does not say how long"):
        list(asking(spec).asks(iter([request])))
    with pytest.raises(UsageError, match="row 7"):
        check_lengths(spec, load_points(spec), request)


def test_what_is_assumed_of_lengths_is_told():
    spec = RunSpec(simulation=Simulation(profile="p.json"), workload=FILE, sampling=Sampling(max_tokens=9))
    point = load_points(spec)[0]
    assert "as long as it may be, 9 tokens" in length_notes(spec, point, Request(text="a"))[0]
    assert (
        "of the data set, at most 9"
        in length_notes(spec, point, Request(text="a", output_tokens_target=3))[0]
    )
    filled = spec.model_copy(update={"sampling": Sampling(max_tokens=9, ignore_eos=True)})
    assert length_notes(filled, point, Request(text="a")) == []


def test_turns_of_a_session_are_numbered_on():
    spec = RunSpec(simulation=Simulation(profile="p.json"), workload=FILE, sessions=Sessions(multi_turn=True))
    session = Request(
        text="a b", output_tokens_target=5, later=[Turn(content="c d e", output_tokens_target=6, think_s=2.0)]
    )
    made = asking(spec)
    first, second = made.asks(iter([session, Request(text="x", output_tokens_target=1)]))
    assert [(turn.new_tokens, turn.output_tokens, turn.think_s) for turn in first.later] == [(3, 6, 2.0)]
    assert second.later == ()
    assert [(each.first_index, each.session) for each in made.asked] == [(0, "session-0"), (2, "session-2")]


def test_prompts_have_equal_names_as_far_as_they_begin_alike():
    names = BlockNames("custom", 2, 0, Words().encode)
    first, second, third = (
        names.of(Request(text=text), text, len(text.split()))
        for text in ("a b c d e", "a b c d x y", "z b c d")
    )
    assert first == second[:2]
    assert len(second) == 3
    assert not set(third) & {*first, *second}  # a name stands for all tokens before it, too


def test_made_prompts_share_their_prefix_alone():
    names = BlockNames("random", 2, 5, Words().encode)
    first, second, other = (
        names.of(Request(text="", input_tokens_counted=8, group=group), "", 8) for group in (0, 0, 1)
    )
    assert first[:2] == second[:2]  # of 5 tokens two whole blocks
    assert not {*first[2:]} & {*second}
    assert not {*first} & {*other}


def test_blocks_of_a_trace_are_shared_at_any_size_of_the_engines_blocks():
    for size in (2, 3, 8):
        names = BlockNames("mooncake", size, 0, Words().encode)
        first, second = (
            names.of(Request(text="", input_tokens_counted=18, blocks=blocks, block_tokens=6), "", 18)
            for blocks in ((4, 5, 6), (4, 5, 7))
        )
        alike = sum(a == b for a, b in zip(first, second, strict=True))
        assert alike == 12 // size
        assert len(set(first + second)) == 2 * (18 // size) - alike


def answered(**changes):
    usual = {
        "request": 0,
        "planned_ns": 0,
        "queued_ns": None,
        "sent_ns": 0,
        "scheduled_ns": 0,
        "tokens_ns": np.array([10_000_000, 30_000_000, 30_000_000, 50_000_000], dtype=np.int64),
        "prompt_tokens": 3,
        "output_tokens": 4,
    }
    return Answered(**(usual | changes))


def rows_of(answer, *, streamed=True, given_up_ns=None):
    made = asking()
    list(made.asks(iter([Request(text="a b c", output_tokens_target=4)])))
    (frame,) = Rows(1, 1000, streamed, given_up_ns).frames(given_up([answer], given_up_ns), made.asked)
    return frame


def test_tokens_of_one_step_come_in_one_chunk():
    record, chunks = rows_of(answered()).record, rows_of(answered()).chunks
    assert (record.status, record.finish_reason, record.output_tokens_server) == ("ok", "length", 4)
    assert (record.first_token_ns, record.end_ns) == (10_001_000, 50_001_000)
    assert np.frombuffer(chunks.tokens, "<i4").tolist() == [1, 2, 1]
    assert np.frombuffer(chunks.recv_ns, "<i8").tolist() == [10_001_000, 30_001_000, 50_001_000]
    assert set(chunks.kind) == {ChunkKind.CONTENT}


def test_an_answer_that_is_not_streamed_has_its_end_alone():
    frame = rows_of(answered(), streamed=False)
    assert (frame.record.first_token_ns, frame.record.end_ns) == (None, 50_001_000)
    assert frame.chunks.kind == b""


def test_what_comes_after_the_client_gave_up_is_not_there():
    frame = rows_of(answered(), given_up_ns=40_000_000)
    assert (frame.record.status, frame.record.end_ns) == ("cancelled", 40_001_000)
    assert frame.record.output_tokens_server is None
    assert len(frame.chunks.kind) == 2


def test_an_answer_that_the_client_gave_up_counts_in_no_number():
    answers = given_up([answered(), answered(request=1, refused="x")], 40_000_000)
    assert figures_of(answers, (50.0,), streamed=True) == {}
    whole = given_up([answered()], 50_000_000)
    assert figures_of(whole, (50.0,), streamed=True) == figures_of([answered()], (50.0,), streamed=True)


def test_turns_that_were_never_sent_do_not_attain():
    session = Request(
        text="a", output_tokens_target=4, later=[Turn(content="b", output_tokens_target=4) for _ in range(2)]
    )
    spec = RunSpec(simulation=Simulation(profile="p.json"), workload=FILE, sessions=Sessions(multi_turn=True))
    made = asking(spec)
    list(made.asks(iter([session, session])))
    refused = answered(request=1, turn=1, refused="too long", tokens_ns=np.zeros(0, dtype=np.int64))
    answers = [answered(), answered(turn=1), answered(turn=2), answered(request=1), refused]
    assert unsent(answers, made.asked) == 1
    limits = [RequestLimit("ttft:20", "ttft", 20.0)]
    assert goodput_of(answers, limits, 1)["attainment", "value"] == pytest.approx(4 / 6)


def test_a_refused_request_failed_with_the_service_s_words():
    record = rows_of(answered(refused="too long", tokens_ns=np.zeros(0, dtype=np.int64))).record
    assert (record.status, record.http_status, record.error) == ("http_error", 400, "HTTP 400: too long")


def test_numbers_of_answers():
    later = answered(request=1, planned_ns=10_000_000, sent_ns=20_000_000)
    found = figures_of([answered(), later], (50.0,), streamed=True)
    assert found["ttft_ms", "mean"] == pytest.approx(5.0)
    assert found["e2el_ms", "mean"] == pytest.approx(45.0)
    assert found["tpot_ms", "mean"] == pytest.approx(40.0 / 3)
    assert found["itl_ms", "mean"] == pytest.approx(20.0)
    assert found["output_throughput_per_s", "value"] == pytest.approx(8 / 0.05)
    assert ("ttft_ms", "p50") not in found  # two values carry no median
    assert figures_of([answered(refused="x"), answered(cut=True)], (50.0,), streamed=True) == {}


def test_intervals_have_the_ensemble_s_spread_and_the_profile_s_noise():
    profile = Profile(
        coefficients=COEFFICIENTS,
        noise={"ttft": Noise(share=0.0, seconds=0.002)},
        provenance=Provenance(method="requests"),
    )
    key = ("ttft_ms", "mean")
    (alone,) = predicted({key: 100.0}, [], profile)
    assert (alone.low, alone.high) == (None, None)
    (found,) = predicted({key: 100.0}, [{key: 100.0}, {key: 100.0}], profile)
    assert (found.low, found.high) == pytest.approx((100 - 1.645 * 2, 100 + 1.645 * 2), rel=1e-3)
    (wider,) = predicted({key: 100.0}, [{key: 90.0}, {key: 110.0}], profile)
    assert wider.low < found.low < found.high < wider.high


@pytest.mark.parametrize(("gives_way", "share"), [(1.0, 0.05), (0.5, 0.025), (0.0, 0.0)])
def test_a_rate_is_as_sure_as_the_latency_it_follows_from(gives_way, share):
    profile = Profile(
        coefficients=COEFFICIENTS,
        noise={"e2el": Noise(share=0.05)},
        provenance=Provenance(method="requests"),
    )
    latency, rate = ("e2el_ms", "mean"), ("request_throughput_per_s", "value")
    best = {latency: 100.0, rate: 8.0}
    members = [{latency: 100.0 * x, rate: 8.0 * x**-gives_way} for x in (0.999, 1.001)]
    found = next(each for each in predicted(best, members, profile) if each.metric == rate[0])
    assert np.log(found.high / found.value) == pytest.approx(
        1.645 * share, rel=0.01, abs=1e-3 * gives_way + 1e-9
    )


def test_the_load_is_that_of_the_busiest_instance():
    answers = [answered(request=number, instance=number % 3 == 0) for number in range(9)]
    load = load_of(answers, 2048)
    assert (load.decodes, load.input_tokens, load.output_tokens) == (6.0, 3.0, 4.0)
    assert load_of([], 2048) is None
