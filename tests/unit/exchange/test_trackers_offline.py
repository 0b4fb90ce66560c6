"""Runs sent to real trackers without a network, and read back with readers that are not ours."""

import gzip
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest
from run_builder import point, run, steady_requests

from inferometer.exchange.trackers import send
from inferometer.exchange.trackers.tracker import TrackerError
from inferometer.metrics.summary import summarize

# Their libraries warn of themselves and of others when they are imported.
KEY = "sk-of-the-user"
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def record(tmp_path):
    loads = [{"max_concurrency": n, "request_rate": None, "burstiness": 1.0, "closed": True} for n in (2, 8)]
    tables = [
        point(*steady_requests(20, gap_ms=100.0 * i), index=i, load=load, end_ns=int(2e9 * i))
        for i, load in enumerate(loads, 1)
    ]
    endpoint = {"url": "http://h:1", "backend": "openai-chat", "api_key": "***"}
    return run(*tables, spec={"endpoint": endpoint}, labels={"gp@u": "h100"})


@pytest.fixture(autouse=True)
def key_on_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["inferometer", "run", "--api-key", KEY])


def holding(folder, text):
    """Files in which a text stands."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"a": 1}')
    return path


def test_mlflow_has_params_metrics_by_load_tags_and_files(record, file, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = (tmp_path / "store").as_uri()
    line = send("mlflow", record, summarize(record), [file], {"uri": uri, "experiment": "serving"})

    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("serving")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_id in line
    assert (found.info.status, found.info.run_name) == ("FINISHED", record.meta.run_id)
    assert found.data.params == {"endpoint.url": "http://h:1", "endpoint.backend": "openai-chat"}
    assert found.data.tags["verdict"] == summarize(record).verdict.word
    assert found.data.tags["simulated"] == "false"
    assert found.data.tags["label.gp_u"] == "h100", "its names take no @"
    history = client.get_metric_history(found.info.run_id, "output_throughput_per_s")
    assert [(one.step, round(one.value, 2)) for one in history] == [(2, 30.03), (8, 15.01)]
    assert [one.path for one in client.list_artifacts(found.info.run_id)] == ["run.json"]


def test_wandb_writes_the_run_offline_and_leaves_no_process(record, file, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    options = {"mode": "offline", "dir": str(tmp_path), "project": "serving"}
    line = send("wandb", record, summarize(record), [file], options)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before

    from swanlab.converter.wb.wbdatastore import (
        WBDataStoreReader,
    )  # another company's reader of the same file
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert str(path.parent) in line
    found = []
    with WBDataStoreReader() as reader:
        reader.open(path)
        while (content := reader.scan()) is not None:
            found.append(Record.FromString(content))
    (began,) = (one.run for one in found if one.HasField("run") and one.run.display_name)
    assert (began.project, began.display_name) == ("serving", record.meta.run_id)
    assert list(began.tags) == [summarize(record).verdict.word]
    rows = [
        {(item.key or ".".join(item.nested_key)): item.value_json for item in one.history.item}
        for one in found
        if one.HasField("history")
    ]
    assert [(row["load"], round(float(row["output_throughput_per_s"]), 2)) for row in rows] == [
        ("2", 30.03), ("8", 15.01)
    ]  # fmt: skip
    assert not holding(tmp_path, KEY)


def test_swanlab_writes_the_run_offline_and_nothing_of_this_process(record, file, tmp_path, capfd):
    options = {"mode": "offline", "dir": str(tmp_path / "log"), "project": "serving"}
    line = send("swanlab", record, summarize(record), [file], options)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")

    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreReader

    (path,) = (tmp_path / "log").glob("run-*/run-*.swanlab")
    assert str(path.parent) in line
    reader = DataStoreReader()
    reader.open(path)
    found = [Record.FromString(content) for content in reader]
    reader.close()
    text = "\n".join(str(one) for one in found)
    assert record.meta.run_id in text
    points = [line for line in text.splitlines() if "output_throughput_per_s" in line]
    assert points, "its metrics are in the file"
    kept = {one.name: one.read_text() for one in (path.parent / "files").iterdir()}
    assert kept["run.json"] == '{"a": 1}'
    assert "http://h:1" in kept["config.yaml"]
    assert not holding(tmp_path, KEY)


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self, status):
        super().__init__(("127.0.0.1", 0), Page)
        self.status, self.bodies = status, []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Page(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        self.server.bodies.append((self.path, gzip.decompress(body) if zipped else body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        pass


def test_otlp_brings_histograms_and_gauges_at_the_times_they_are_of(record, monkeypatch):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    threads = threading.active_count()
    with Collector(200) as collector:
        url = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        line = send("otlp", record, summarize(record))
        assert send("otlp", record, summarize(record), options={"endpoint": url}) == line
    assert threading.active_count() == threads
    assert line == f"otlp  {url}/v1/metrics  service inferometer  run {record.meta.run_id}"
    (path, body), (again, _) = collector.bodies
    assert again == path
    assert path == "/v1/metrics"
    (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["inferometer.verdict"] == summarize(record).verdict.word
    metrics = {one.name: one for one in resource.scope_metrics[0].metrics}
    first = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert first.unit == "s"
    assert [(one.count, round(one.sum, 6)) for one in first.histogram.data_points] == [(20, 0.6), (20, 0.6)]
    assert first.histogram.data_points[0].bucket_counts[2] == 20, "30 ms lies in (20, 40]"
    rate = metrics["inferometer.output_throughput_per_s"].gauge.data_points
    assert [round(one.as_double, 2) for one in rate] == [30.03, 15.01]
    assert {one.key: one.value.string_value for one in rate[1].attributes}[
        "inferometer.load"
    ] == "concurrency 8"


def test_a_collector_that_refuses_is_named_with_what_it_said(record):
    with Collector(400) as collector:
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/metrics"
        with pytest.raises(TrackerError, match="did not take the metrics") as refused:
            send("otlp", record, summarize(record), options={"endpoint": endpoint})
    assert endpoint in refused.value.message
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in refused.value.next_step


@pytest.mark.parametrize("name", ["mlflow", "otlp"])
def test_a_password_in_the_address_of_a_tracker_is_not_told(record, monkeypatch, name):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    option = {"mlflow": "uri", "otlp": "endpoint"}[name]
    with pytest.raises(TrackerError) as refused:
        send(name, record, summarize(record), options={option: "http://joe:hunter2@127.0.0.1:9"})
    assert "127.0.0.1" in refused.value.message
    assert "hunter2" not in str(refused.value)


def test_mlflow_is_given_up_after_a_few_attempts_unless_its_own_variables_say_otherwise(record, monkeypatch):
    asked = {}

    class Client:
        def __init__(self, tracking_uri):
            asked.update({name: value for name, value in os.environ.items() if "_HTTP_REQUEST_" in name})
            raise ConnectionError("no route")

    monkeypatch.setattr("mlflow.tracking.MlflowClient", Client)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with pytest.raises(TrackerError, match="no route"):
        send("mlflow", record, summarize(record), options={"uri": "http://h:1"})
    assert asked == {"MLFLOW_HTTP_REQUEST_TIMEOUT": "7", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


def test_a_run_that_mlflow_does_not_take_whole_is_marked_as_failed_there(record, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = (tmp_path / "store").as_uri()
    with pytest.raises(TrackerError):
        send(
            "mlflow", record, summarize(record), [tmp_path / "is not there"], {"uri": uri, "experiment": "e"}
        )

    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert found.info.status == "FAILED"


def test_a_library_that_fails_becomes_one_error_with_a_next_step(record):
    with pytest.raises(TrackerError, match="mlflow did not take the run") as refused:
        send("mlflow", record, summarize(record), options={"uri": "carrier-pigeon://roof"})
    assert "MLFLOW_TRACKING_URI" in refused.value.next_step
