import pytest

from inferometer.errors import UsageError
from inferometer.metrics.dictionary import METRICS, explain, find, names


@pytest.mark.parametrize("name", names())
def test_every_metric_explains_itself(name: str) -> None:
    text = explain(name)
    metric = METRICS[name]
    assert text.startswith(metric.label)
    assert metric.key in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert find(metric.key) is metric
    assert find(metric.label) is metric


@pytest.mark.parametrize(
    ("written", "name"),
    [("TTFT", "ttft"), ("p99_ttft_ms", "ttft"), ("time to first token", "ttft"), ("Inter-token latency", "itl"),
     ("mean_tpot", "tpot"), ("Output token throughput (tok/s)", "output_throughput"),
     ("concurrency", "concurrency_mean")],
)  # fmt: skip
def test_a_metric_is_found_by_the_names_that_people_use(written: str, name: str) -> None:
    assert find(written).name == name


def test_an_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown metric 'tpto' \(did you mean 'tpot'\?\)"):
        explain("tpto")
