import msgspec
from run_builder import point, run, steady_requests

from inferometer.metrics.summary import summarize
from inferometer.report.console import render_run
from inferometer.report.sent import picture_lines

TOLD = {"per_request": 1, "frames": 0, "width": 640, "height": 480, "kind": "shapes png"}


def table(index: int, size: int, **fields):
    requests, chunks = steady_requests(30)
    own = {"images": 1, "image_bytes": size * 9 // 10, "bytes_out": size, "input_tokens_server": 276}
    own |= {"input_tokens_client": 20} | fields
    rows = [msgspec.structs.replace(r, **own) for r in requests]
    return point(rows, chunks, index=index, dataset={"pictures": TOLD})


def test_the_report_shows_pictures_bytes_and_their_tokens():
    text = render_run(summarize(run(table(1, 1_400_000))))
    assert "  concurrency 1, 640x480 px  " in text
    assert (
        "  bytes sent: 1.40 MB a request (p50), at most 1.40 MB, 42.00 MB in all, 90.0 % of it pictures\n"
        in text
    )
    assert (
        "  prompt tokens beyond the text, as the server counts them: 256.0 a picture, chat template included\n"
        in text
    )
    assert "against the client's count" not in text, "tokens of pictures are no difference in counting text"


def test_load_points_of_different_size_are_told_together():
    (line, tokens) = picture_lines(summarize(run(table(1, 1_000_000), table(2, 3_000_000))).points)
    assert (
        line
        == "bytes sent: 1.00 MB to 3.00 MB a request (p50), at most 3.00 MB, 120.00 MB in all, 90.0 % of it pictures"
    )
    assert "256.0 a picture" in tokens


def test_without_counts_of_the_server_nothing_is_said_of_tokens():
    points = summarize(run(table(1, 1_000_000, input_tokens_server=None))).points
    assert len(picture_lines(points)) == 1


def test_text_alone_is_not_mentioned():
    assert picture_lines(summarize(run(table(1, 1000, images=0, image_bytes=0))).points) == []
