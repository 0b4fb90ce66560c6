import io

import msgspec
from rich.console import Console

from inferometer.cli import live
from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.record.types import PointRecord

NOW = Progress(
    point=2,
    points_total=4,
    kind="measure",
    title="concurrency 16",
    planned=400,
    done=100,
    failed=0,
    in_flight=16,
    output_tokens=12800,
    elapsed_s=10.0,
    limit_s=None,
)
END = PointRecord(
    index=2,
    kind="measure",
    load={"request_rate": None, "max_concurrency": 16},
    epoch_ns=0,
    end_ns=40_000_000_000,
    stop_reason="complete",
    dispatched=400,
)


def at(**changes):
    return msgspec.structs.replace(NOW, **changes)


def test_a_line_says_how_far_it_is():
    assert live.describe(NOW) == (
        "point 2/4  concurrency 16: 100/400 done  16 in flight  1280 tok/s out  10 s, about 30 s left"
    )
    assert "7 FAILED" in live.describe(at(failed=7))
    assert live.describe(at(stopping=True)).endswith("draining")
    assert live.describe(at(kind="warmup")).startswith("warm-up  ")


def test_what_is_not_known_is_not_said():
    first = at(done=0, elapsed_s=0.0)
    assert live.output_rate(first) is None
    assert live.remaining_s(first) is None
    assert live.share_done(at(planned=None)) is None


def test_the_nearer_bound_counts():
    timed = at(limit_s=12.0)
    assert live.remaining_s(timed) == 2.0
    assert live.share_done(timed) == 10 / 12


def test_plain_lines_come_at_the_start_every_ten_seconds_and_at_the_end(capsys):
    with live.PlainWatcher() as watcher:
        for quarter in range(1, 61):
            watcher.on_progress(at(elapsed_s=quarter / 4))
        watcher.on_point_end(END)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "point 2  concurrency 16: 400 requests  40 s"


def test_the_drawn_line_leaves_only_finished_points(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        "rich.console.Console", lambda stderr: Console(file=screen, force_terminal=True, width=120)
    )
    with live.RichWatcher() as watcher:
        watcher.on_progress(NOW)
        watcher.on_progress(at(failed=3))
        watcher.on_point_end(END)
    text = screen.getvalue()
    assert "━" in text
    assert "point 2  concurrency 16: 400 requests  3 FAILED  40 s" in text
    assert "\x1b[?1049h" not in text


def test_which_observer():
    assert isinstance(live.watcher("rich", terminal=False), live.PlainWatcher)
    assert isinstance(live.watcher("rich", terminal=True), live.RichWatcher)
    assert isinstance(live.watcher("plain", terminal=True), live.PlainWatcher)
    with live.watcher("none", terminal=True) as observer:
        assert isinstance(observer, NullObserver)
