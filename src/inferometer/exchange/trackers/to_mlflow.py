"""MLflow: a run in an experiment, through its client, without touching the run that a notebook may have active."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from inferometer.exchange.trackers.logged import Logged
from inferometer.exchange.trackers.tracker import library, told
from inferometer.record.tables import RunRecord
from inferometer.spec.url import shown_url

_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000
# What a server takes in one request, https://mlflow.org/docs/latest/rest-api.html#log-batch
_METRICS, _PARAMS = 1000, 100
_REFUSED = re.compile(r"[^\w./: -]")  # in the name of a tag, a parameter or a metric
# Its own seven attempts of two minutes each are long for somebody who waits for the end of a run.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

_NEXT_STEP = (
    "set MLFLOW_TRACKING_URI to a server; a database of your own takes pip install mlflow, "
    "plain files MLFLOW_ALLOW_FILE_STORE=true"
)


class MlflowTracker:
    """Where ``MLFLOW_TRACKING_URI`` says; without it MLflow's own default, a database in this directory."""

    about = "MLflow: parameters, metrics by load, files (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)"
    options: Mapping[str, str] = {
        "uri": "of the tracking server or store",
        "experiment": "name of the experiment (default: inferometer)",
    }

    def check(self) -> None:
        """See ``Tracker``."""
        library("mlflow", "mlflow")

    def send(self, run: RunRecord, logged: Logged, files: Sequence[Path], options: Mapping[str, str]) -> str:
        """See ``Tracker``."""
        mlflow = library("mlflow", "mlflow")
        uri = options.get("uri") or mlflow.get_tracking_uri()
        experiment = options.get("experiment") or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "inferometer"
        with told("mlflow", _NEXT_STEP), _patience():
            client = mlflow.tracking.MlflowClient(tracking_uri=uri)
            known = client.get_experiment_by_name(experiment)
            number = client.create_experiment(experiment) if known is None else known.experiment_id
            began_ms = round(datetime.fromisoformat(logged.created_utc).timestamp() * 1000)
            last_ms = max((point.at_unix_ms or began_ms for point in logged.points), default=began_ms)
            tags = {_name(key): text[:_LONGEST_TAG] for key, text in logged.tags.items()}
            made = client.create_run(number, start_time=began_ms, tags=tags, run_name=logged.name)
            identity, status = made.info.run_id, "FAILED"
            try:
                _log(client, identity, logged, began_ms)
                for path in files:
                    client.log_artifact(identity, str(path))
                status = "FINISHED"
            finally:
                client.set_terminated(identity, status, end_time=max(last_ms, began_ms))
        return f"mlflow  {shown_url(uri)}  experiment {experiment}  run {identity}"


@contextmanager
def _patience() -> Iterator[None]:
    """Its library waits only so long, unless its own environment variables say otherwise."""
    ours = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _name(key: str) -> str:
    return _REFUSED.sub("_", key)


def _log(client: Any, identity: str, logged: Logged, began_ms: int) -> None:
    from mlflow.entities import Metric, Param

    metrics = [
        Metric(_name(key), value, point.at_unix_ms or began_ms, point.step)
        for point in logged.points
        for key, value in point.values.items()
    ]
    metrics += [Metric(key, value, began_ms, 0) for key, value in logged.totals.items()]
    params = [Param(_name(key), text[:_LONGEST_PARAM]) for key, text in logged.params.items()]
    for batch in _batches(metrics, _METRICS):
        client.log_batch(identity, metrics=batch)
    for batch in _batches(params, _PARAMS):
        client.log_batch(identity, params=batch)


def _batches(values: Sequence[object], size: int) -> list[list[object]]:
    rest = iter(values)
    return list(iter(lambda: list(islice(rest, size)), []))
