"""Who watches a run, and who is told of it afterwards."""

import sys
import types
import urllib.request
from pathlib import Path

import pytest

from inferometer.cli.tracking import print_tracked
from inferometer.cli.watching import watching
from inferometer.errors import UsageError
from inferometer.exchange.trackers.tracker import TrackerError
from inferometer.loadgen.progress import beforehand
from inferometer.spec import RunSpec
from inferometer.spec.model import Output


def test_the_progress_of_a_run_is_served_while_it_goes_on(capsys):
    spec = RunSpec(output=Output(prometheus_port=0, ui="none", label=("a", "b")))
    with watching(spec, quiet=False) as observer:
        observer.on_progress(beforehand("starting", 3.5))
        url = capsys.readouterr().err.split()[1]
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    assert 'inferometer_run_info{backend="openai-chat",label="a-b",version=' in text
    assert "inferometer_load_point_elapsed_seconds 3.5" in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


def test_a_tracker_that_cannot_be_used_is_told_before_anything_is_sent():
    spec = RunSpec(output=Output(track=("mlfow",), ui="none"))
    with pytest.raises(UsageError, match="unknown tracker 'mlfow'"), watching(spec, quiet=True):
        pytest.fail("the run began")


def test_a_tracker_that_fails_is_told_and_the_others_are_served(monkeypatch, capsys):
    asked = []

    def track(path, name, *, summary):
        asked.append((path, name, summary))
        if name == "mlflow":
            raise TrackerError("mlflow did not take the run: no route", "check MLFLOW_TRACKING_URI")
        if name == "otlp":
            raise ZeroDivisionError
        return f"{name}  http://there"

    api = types.ModuleType("inferometer.api.tracking")
    api.track = track
    monkeypatch.setitem(sys.modules, "inferometer.api.tracking", api)
    result = types.SimpleNamespace(path=Path("runs/x"), summary="numbers")
    print_tracked(result, ("mlflow", "otlp", "wandb", "wandb"))
    out, err = capsys.readouterr()
    assert asked == [(Path("runs/x"), name, "numbers") for name in ("mlflow", "otlp", "wandb")]
    assert out == "track  wandb  http://there\n"
    failed, faulty = err.splitlines()
    assert failed == (
        "warning: --track mlflow: mlflow did not take the run: no route; check MLFLOW_TRACKING_URI, "
        "then inferometer export runs/x --as mlflow"
    )
    assert faulty.startswith("warning: --track otlp: ZeroDivisionError at cli/tracking.py:")
