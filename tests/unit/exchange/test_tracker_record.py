"""What trackers are told: parameters without secrets, one row of metrics a load, steps that no two loads share."""

import msgspec
import pytest
from run_builder import point, request, run, steady_requests

from inferometer.errors import UsageError
from inferometer.exchange.trackers import TRACKERS, Tracker, check, logged_of
from inferometer.exchange.trackers.genai import histograms
from inferometer.metrics.summary import summarize
from inferometer.record.types import Sitting


def closed(concurrency, **own):
    return {"max_concurrency": concurrency, "request_rate": None, "burstiness": 1.0, "closed": True, **own}


def opened(rate):
    return {"max_concurrency": None, "request_rate": rate, "burstiness": 1.0, "closed": False}


def of_loads(*loads, **meta):
    tables = [point(*steady_requests(20), index=i, load=load) for i, load in enumerate(loads, 1)]
    return run(*tables, **meta)


def logged(record):
    return logged_of(record, summarize(record))


def test_a_load_point_is_a_row_with_our_keys_and_nothing_that_is_not_known():
    found = logged(of_loads(closed(8), closed(2), labels={"gpu": "h100"}, simulated=True))
    assert [(one.step, one.point, one.title) for one in found.points] == [
        (2, 2, "concurrency 2"), (8, 1, "concurrency 8")
    ]  # fmt: skip
    values = found.points[0].values
    assert values["ttft_ms.mean"] == pytest.approx(30.0)
    assert values["ttft_ms.p50"] == pytest.approx(30.0)
    assert "ttft_ms.p99" not in values, "20 requests carry no p99"
    assert values["asked_concurrency"] == 2.0
    assert (values["ok_requests"], values["failed_requests"]) == (20.0, 0.0)
    assert all(isinstance(value, float) for value in values.values())
    assert found.tags | {"step_is": "concurrency", "simulated": "true", "label.gpu": "h100"} == found.tags
    assert found.totals["run.load_points"] == 2.0
    assert found.totals["run.peak_output_throughput_per_s"] == pytest.approx(60 / 1.998)


@pytest.mark.parametrize(
    ("loads", "step_is", "steps"),
    [
        ((opened(4.0), opened(2.0)), "request rate", [2, 4]),
        ((opened(0.5), opened(2.0)), "load point", [1, 2]),
        ((closed(4, repeat=1), closed(4, repeat=2)), "load point", [1, 2]),
        ((opened("inf"),), "load point", [1]),
    ],
)
def test_a_step_is_the_load_where_loads_are_whole_and_differ(loads, step_is, steps):
    found = logged(of_loads(*loads))
    assert (found.step_is, [one.step for one in found.points]) == (step_is, steps)


def test_secrets_and_what_was_not_asked_for_are_no_parameters():
    endpoint = {"url": "http://h:1", "api_key": "***", "header": ["Authorization: ***"], "model": None}
    found = logged(of_loads(closed(1), spec={"endpoint": endpoint, "sampling": {"stream": False}}))
    assert found.params == {"endpoint.url": "http://h:1", "sampling.stream": "false"}


def test_a_load_point_has_the_time_at_which_it_ended():
    sitting = Sitting(began_utc="x", anchors=[{"monotonic_ns": 1_000_000, "realtime_ns": 5_000_000_000}])
    table = point(*steady_requests(2), epoch_ns=1_000_000, end_ns=251_000_000)
    assert logged(run(table, sittings=[sitting])).points[0].at_unix_ms == 5_250
    assert logged(run(table)).points[0].at_unix_ms is None


def test_requests_fall_into_the_buckets_of_the_genai_conventions():
    answered, chunks = steady_requests(2)
    lost = request(2, sent=0, end=400, status="timeout", streamed=False)
    record = run(
        point([*answered, lost], chunks), spec={"endpoint": {"url": "https://h", "backend": "vllm-chat"}}
    )
    found = {
        (one.name, one.attributes.get("error.type", "")): one for one in histograms(record, record.tables[0])
    }
    whole = found["gen_ai.client.operation.duration", ""]
    assert dict(zip(whole.bounds, whole.counts, strict=False))[0.16] == 2, "90 ms lies in (80, 160]"
    assert (sum(whole.counts), whole.total) == (2, pytest.approx(0.18))
    first = found["gen_ai.client.operation.time_to_first_chunk", ""]
    assert dict(zip(first.bounds, first.counts, strict=False))[0.04] == 2, "30 ms lies in (20, 40]"
    gaps = found["gen_ai.client.operation.time_per_output_chunk", ""]
    # "SHOULD be specified with ExplicitBucketBoundaries of", word for word the same for all three.
    assert whole.bounds == first.bounds == gaps.bounds == tuple(0.01 * 2**power for power in range(14))
    assert (sum(gaps.counts), gaps.low) == (4, pytest.approx(0.03))
    assert found["gen_ai.client.operation.duration", "timeout"].high == pytest.approx(0.4)
    common = whole.attributes
    assert (common["gen_ai.operation.name"], common["gen_ai.provider.name"]) == ("chat", "vllm-chat")
    assert (common["server.address"], common["server.port"]) == ("h", 443)


def test_an_unknown_tracker_or_option_is_refused_by_name():
    with pytest.raises(UsageError, match="unknown tracker 'wandbb'") as refused:
        check("wandbb")
    assert "'wandb'" in refused.value.next_step
    with pytest.raises(UsageError, match="otlp has no option 'url'") as refused:
        check("otlp", {"url": "x"})
    assert "endpoint (" in refused.value.next_step


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("mlflow", "mlflow", "mlflow"), ("wandb", "wandb", "wandb"), ("swanlab", "swanlab", "swanlab"),
     ("otlp", "opentelemetry.exporter.otlp.proto.http.metric_exporter", "otel")],
)  # fmt: skip
def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch, name, module, extra):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UsageError) as refused:
        check(name)
    assert refused.value.next_step == f"pip install 'inferometer[{extra}]'"


def test_every_tracker_says_what_it_is_and_takes():
    for name in TRACKERS.names():
        tracker: Tracker = TRACKERS.get(name)()
        assert tracker.about
        assert all(tracker.options.values())
    assert msgspec.json.encode(logged(of_loads(closed(1))))
