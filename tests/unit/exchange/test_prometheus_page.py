"""The progress of a run as Prometheus reads it."""

import contextlib
import socket
import threading
import urllib.error
import urllib.request

import msgspec
import pytest

from inferometer.client.exposition import series_of
from inferometer.errors import UsageError
from inferometer.exchange.prometheus.endpoint import MetricsEndpoint
from inferometer.exchange.prometheus.exposition import Family, Sample, exposition
from inferometer.exchange.prometheus.watched import WatchedRun
from inferometer.loadgen.progress import NullObserver, Progress, add_up
from inferometer.record.types import PointRecord

NOW = Progress(
    point=1, points_total=2, kind="measure", title="concurrency 4", planned=40, done=10, failed=1, in_flight=4,
    output_tokens=300, elapsed_s=2.0, limit_s=None, asked_concurrency=4, send_lag_max_s=0.001, cpu_share=0.25,
)  # fmt: skip
END = PointRecord(index=1, kind="measure", load={})


def watched():
    return WatchedRun(NullObserver(), {"model": 'a "b"\\\n'})


def read(run):
    return series_of(exposition(run.families(), openmetrics=False))


def test_both_formats_say_the_same_in_their_own_way():
    families = [
        Family(name="x_requests", kind="counter", help="Requests.", samples=(Sample(3, {"kind": "a"}),)),
        Family(name="x_seconds", kind="gauge", help="Time.", samples=(Sample(0.5),), unit="seconds"),
        Family(name="x_run", kind="info", help="Run.", samples=(Sample(1, {"model": 'a"\\\n'}),)),
        Family(name="x_none", kind="gauge", help="Nothing.", samples=()),
    ]
    assert exposition(families, openmetrics=True).splitlines() == [
        "# HELP x_requests Requests.", "# TYPE x_requests counter", 'x_requests_total{kind="a"} 3',
        "# HELP x_seconds Time.", "# TYPE x_seconds gauge", "# UNIT x_seconds seconds", "x_seconds 0.5",
        "# HELP x_run Run.", "# TYPE x_run info", 'x_run_info{model="a\\"\\\\\\n"} 1',
        "# EOF",
    ]  # fmt: skip
    assert exposition(families, openmetrics=False).splitlines() == [
        "# HELP x_requests_total Requests.", "# TYPE x_requests_total counter", 'x_requests_total{kind="a"} 3',
        "# HELP x_seconds Time.", "# TYPE x_seconds gauge", "x_seconds 0.5",
        "# HELP x_run_info Run.", "# TYPE x_run_info gauge", 'x_run_info{model="a\\"\\\\\\n"} 1',
    ]  # fmt: skip


def test_infinity_and_nan_are_written_as_the_format_asks():
    samples = tuple(Sample(value) for value in (float("inf"), float("-inf"), float("nan"), 2.0**70))
    text = exposition([Family(name="x", kind="gauge", help="", samples=samples)], openmetrics=False)
    assert [line.split()[-1] for line in text.splitlines()[2:]] == [
        "+Inf",
        "-Inf",
        "NaN",
        "1.1805916207174113e+21",
    ]


def test_a_load_point_under_way_has_counters_and_gauges_of_what_is_known():
    run = watched()
    run.on_progress(NOW)
    found = read(run)
    assert found['inferometer_requests_done_total{kind="measure"}'] == 10
    assert found['inferometer_requests_failed_total{kind="measure"}'] == 1
    assert found["inferometer_requests_in_flight"] == 4
    assert found["inferometer_output_token_rate_per_second"] == 150
    assert found["inferometer_send_lag_max_seconds"] == 0.001
    assert found["inferometer_worker_cpu_share"] == 0.25
    assert found["inferometer_asked_concurrency"] == 4
    assert "inferometer_load_point_limit_seconds" not in found
    assert "inferometer_asked_request_rate_per_second" not in found


def test_counters_go_on_over_load_points_and_never_fall():
    run = watched()
    warm = msgspec.structs.replace(NOW, kind="warmup", point=0, done=4, failed=0, output_tokens=8)
    run.on_progress(warm)
    run.on_point_end(END)
    assert read(run)['inferometer_requests_done_total{kind="warmup"}'] == 4, "counted once, though it is over"
    run.on_progress(NOW)
    run.on_progress(msgspec.structs.replace(NOW, done=40, failed=1))
    run.on_progress(msgspec.structs.replace(NOW, kind="pause", done=0, point=2))
    run.on_progress(msgspec.structs.replace(NOW, point=2, done=5, failed=2))
    found = read(run)
    assert found['inferometer_requests_done_total{kind="measure"}'] == 45
    assert found['inferometer_requests_failed_total{kind="measure"}'] == 3
    assert found['inferometer_requests_done_total{kind="warmup"}'] == 4
    assert not any('kind="pause"' in name and "_total" in name for name in found)


def test_an_observer_behind_it_is_told_everything():
    heard = []

    class Ear(NullObserver):
        def on_notice(self, text):
            heard.append(text)

        def on_progress(self, progress):
            heard.append(progress)

        def on_point_end(self, point):
            heard.append(point)

    run = WatchedRun(Ear(), {})
    run.on_notice("hello")
    run.on_progress(NOW)
    run.on_point_end(END)
    assert heard == ["hello", NOW, END]


def test_the_worst_worker_counts():
    busier = msgspec.structs.replace(NOW, send_lag_max_s=None, cpu_share=0.75)
    whole = add_up([NOW, busier])
    assert (whole.send_lag_max_s, whole.cpu_share, whole.receive_lag_max_s) == (0.001, 0.75, None)


def fetched(url, accept="", method="GET"):
    request = urllib.request.Request(url, headers={"Accept": accept}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_the_page_speaks_both_formats_and_is_gone_when_the_run_is():
    run, threads = watched(), threading.active_count()
    with MetricsEndpoint(0, run.families) as endpoint:
        run.on_progress(NOW)
        kind, text = fetched(endpoint.url, "application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        kind, text = fetched(endpoint.url + "?x=1")
        assert kind.startswith("text/plain; version=0.0.4")
        assert series_of(text)["inferometer_requests_in_flight"] == 4
        assert fetched(endpoint.url, method="HEAD")[1] == ""
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetched(endpoint.url.replace("/metrics", "/"))
        with pytest.raises(urllib.error.HTTPError, match="501"):
            fetched(endpoint.url, method="POST")
        place = ("127.0.0.1", int(endpoint.url.split(":")[2].split("/")[0]))
        with socket.create_connection(place) as nonsense:
            nonsense.sendall(b"\x00\x01\r\n\r\n")
        assert fetched(endpoint.url)[1], "a client that talks nonsense stops nothing"
    assert threading.active_count() == threads
    with contextlib.closing(socket.socket()) as gone:
        assert gone.connect_ex(place) != 0


def test_a_port_that_is_taken_is_told_before_anything_is_sent():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--prometheus-port {port}: the port is taken") as refused:
            MetricsEndpoint(port, list)
    assert "0 takes a free one" in refused.value.next_step
