import pytest
from run_builder import point, steady_requests, tiny

from inferometer.errors import UsageError
from inferometer.metrics.latency import PointData
from inferometer.metrics.slo import PointLimit, RequestLimit, goodput, judge_point, parse_slo


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("ttft:200", RequestLimit("ttft:200", "ttft", 200)),
        ("E2EL: 5000", RequestLimit("E2EL: 5000", "e2el", 5000)),
        ("p99_ttft<=200ms", PointLimit("p99_ttft<=200ms", "p99", "ttft", "<=", 200)),
        ("p99.9_itl < 0.2s", PointLimit("p99.9_itl < 0.2s", "p99.9", "itl", "<", 200)),
        ("mean_tpot<=50", PointLimit("mean_tpot<=50", "mean", "tpot", "<=", 50)),
        ("failed<=0.1%", PointLimit("failed<=0.1%", "", "failed", "<=", 0.001)),
        ("failed<=0", PointLimit("failed<=0", "", "failed", "<=", 0)),
        (
            "output_throughput>=1000",
            PointLimit("output_throughput>=1000", "", "output_throughput", ">=", 1000),
        ),
        ("attainment>=95%", PointLimit("attainment>=95%", "", "attainment", ">=", 0.95)),
    ],
)
def test_a_limit_is_read(text: str, limit: RequestLimit | PointLimit) -> None:
    parsed = parse_slo(text)
    assert type(parsed) is type(limit)
    if isinstance(parsed, PointLimit) and isinstance(limit, PointLimit):
        assert parsed.limit == pytest.approx(limit.limit)
        assert (parsed.statistic, parsed.metric, parsed.operator) == (
            limit.statistic,
            limit.metric,
            limit.operator,
        )
    else:
        assert parsed == limit


@pytest.mark.parametrize(
    "text",
    ["", "ttft", "ttft:abc", "ttft:0", "itl:20", "p99_ttft>=200ms", "ttft<=200", "p0_ttft<=2", "p1.2.3_ttft<=2",
     "p99_failed<=1%", "failed>=1%", "output_throughput<=5", "output_throughput>=5ms", "p99_foo<=3", "p99_ttft<=3%",
     "p99_ttft<=1.2.3", "failed<=5s"],
)  # fmt: skip
def test_a_limit_that_cannot_be_read_is_refused_with_thing_and_next_step(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_slo(text)
    assert repr(text) in refused.value.message
    assert refused.value.next_step


def test_goodput_counts_requests_that_meet_all_limits_and_attainment_is_of_all_planned() -> None:
    reached = goodput(PointData(tiny(), slo=("ttft:20", "tpot:6")))
    assert reached is not None
    assert reached.good == 2, (
        "request 1 has one token, so no TPOT to miss; request 3 is late; request 2 failed"
    )
    assert reached.attainment == 0.5


def test_goodput_is_not_known_when_a_latency_is_not() -> None:
    requests, _ = steady_requests(2)
    table = point(requests)
    table.requests["output_tokens_server"][0] = float("nan")
    reached = goodput(PointData(table, slo=("tpot:50",)))
    assert reached is not None
    assert reached.good is None
    assert reached.requests_per_s is None
    assert goodput(PointData(table)) is None


def test_limits_on_a_point_are_met_not_met_or_not_known() -> None:
    table = point(*steady_requests(100))
    texts = ("p90_ttft<=30ms", "p90_ttft<30ms", "p99_ttft<=1s", "failed<=0.1%", "output_throughput>=1000",
             "mean_tpot<=30", "attainment>=99%", "ttft:25")  # fmt: skip
    results = {result.slo: result for result in judge_point(PointData(table, slo=texts))}
    assert {text: result.met for text, result in results.items()} == {
        "p90_ttft<=30ms": True,
        "p90_ttft<30ms": False,
        "p99_ttft<=1s": None,
        "failed<=0.1%": True,
        "output_throughput>=1000": False,
        "mean_tpot<=30": True,
        "attainment>=99%": False,
    }
    assert results["p99_ttft<=1s"].reason == "needs 1,000 values, has 100"
