from typing import Any

import msgspec
import numpy as np
import pytest
from run_builder import point, request, run, steady_requests

from inferometer.metrics.audit import input_drift
from inferometer.metrics.latency import PointData
from inferometer.metrics.sent import Pictures, pictures_of, request_bytes
from inferometer.metrics.summary import summarize

TOLD = {"per_request": 2, "frames": 0, "width": 640, "height": 480, "kind": "shapes png"}


def sent(count: int = 20, dataset: dict[str, Any] | None = None, **fields: Any):
    requests, chunks = steady_requests(count)
    own = {
        "images": 2,
        "image_bytes": 900,
        "bytes_out": 1000,
        "input_tokens_server": 530,
        "input_tokens_client": 10,
    }
    with_pictures = [msgspec.structs.replace(r, **(own | fields)) for r in requests]
    return point(with_pictures, chunks, dataset={"pictures": TOLD} if dataset is None else dataset)


def test_pictures_of_a_point_in_numbers():
    assert pictures_of(PointData(sent())) == Pictures(
        title="2 x 640x480 px",
        width=640,
        height=480,
        kind="shapes png",
        number=40,
        picture_bytes=18000,
        sent_bytes=20000,
        tokens_each=260.0,
    )


def test_stats_of_bytes_and_tokens_are_in_the_summary():
    (summary,) = summarize(run(sent())).points
    assert summary.stats["request_bytes"].percentiles["p50"] == 1000
    assert summary.stats["picture_bytes"].max == 900
    assert summary.stats["picture_tokens"].mean == 260
    assert summary.pictures is not None


def test_text_alone_has_bytes_but_no_pictures():
    (summary,) = summarize(run(sent(images=0, image_bytes=0))).points
    assert summary.pictures is None
    assert "picture_bytes" not in summary.stats
    assert "picture_tokens" not in summary.stats
    assert summary.stats["request_bytes"].mean == 1000


def test_a_run_of_a_version_that_did_not_count_has_neither():
    table = sent()
    for name in ("images", "image_bytes"):
        table.requests[name] = np.full(20, np.nan)
    assert pictures_of(PointData(table)) is None
    assert np.isnan(request_bytes(PointData(sent(bytes_out=0)))).all()


def test_the_server_may_count_more_than_the_text_where_there_are_pictures():
    assert input_drift(PointData(sent())) == []
    (drift,) = input_drift(PointData(sent(images=0)))
    assert (drift.side, drift.against, drift.mean) == ("server", "client", 520)


def test_failed_requests_were_sent_too_but_have_no_tokens():
    failed = request(0, sent=1.0, end=2.0, status="http_error", images=1, image_bytes=50, bytes_out=70)
    unsent = request(1, status="connect_error", images=1, image_bytes=50, bytes_out=70)
    found = pictures_of(PointData(point([failed, unsent], dataset={})))
    assert found is not None
    assert (found.number, found.picture_bytes, found.sent_bytes, found.tokens_each) == (1, 50, 70, None)


@pytest.mark.parametrize(
    ("told", "title"),
    [
        ({"per_request": 1}, "640x480 px"),
        ({"per_request": 0, "frames": 8}, "8 frames 640x480 px"),
        ({"frames": 8}, "2 x 640x480 px + 8 frames 640x480 px"),
        ({"width": None}, "2 pictures"),
        ({"width": None, "per_request": 1}, "1 picture"),
    ],
)
def test_how_pictures_are_called(told, title):
    found = pictures_of(PointData(sent(dataset={"pictures": TOLD | told})))
    assert found is not None
    assert found.title == title


def test_pictures_of_the_data_set_itself_are_called_by_the_most_of_a_request():
    found = pictures_of(PointData(sent(dataset={})))
    assert found is not None
    assert (found.title, found.kind) == ("2 pictures", None)
