"""MLflow: a run in an experiment, through its client, without touching the run that a notebook may have active."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from inferometer.exchange.trackers.logged import Logged
from inferometer.exchange.trackers.tracker import library, told
from inferometer.record.tables import RunRecord

_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000
# What a server takes in one request, https://mlflow.org/docs/latest/rest-api.html#log-batch
_METRICS, _PARAMS = 1000, 100

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
        with told("mlflow", _NEXT_STEP):
            client = mlflow.tracking.MlflowClient(tracking_uri=uri)
            known = client.get_experiment_by_name(experiment)
            number = client.create_experiment(experiment) if known is None else known.experiment_id
            began_ms = round(datetime.fromisoformat(logged.created_utc).timestamp() * 1000)
            tags = {key: text[:_LONGEST_TAG] for key, text in logged.tags.items()}
            made = client.create_run(number, start_time=began_ms, tags=tags, run_name=logged.name)
            identity = made.info.run_id
            _log(client, identity, logged, began_ms)
            for path in files:
                client.log_artifact(identity, str(path))
            last_ms = max((point.at_unix_ms or began_ms for point in logged.points), default=began_ms)
            client.set_terminated(identity, end_time=max(last_ms, began_ms))
        return f"mlflow  {uri}  experiment {experiment}  run {identity}"


def _log(client: Any, identity: str, logged: Logged, began_ms: int) -> None:
    from mlflow.entities import Metric, Param

    metrics = [
        Metric(key, value, point.at_unix_ms or began_ms, point.step)
        for point in logged.points
        for key, value in point.values.items()
    ]
    metrics += [Metric(key, value, began_ms, 0) for key, value in logged.totals.items()]
    params = [Param(key, text[:_LONGEST_PARAM]) for key, text in logged.params.items()]
    for batch in _batches(metrics, _METRICS):
        client.log_batch(identity, metrics=batch)
    for batch in _batches(params, _PARAMS):
        client.log_batch(identity, params=batch)


def _batches(values: Sequence[object], size: int) -> list[list[object]]:
    rest = iter(values)
    return list(iter(lambda: list(islice(rest, size)), []))
