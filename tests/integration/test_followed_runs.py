"""A run that others follow: Prometheus while it goes on, a tracker when it has ended, pictures of it later."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import folders, here, run

from inferometer.client.exposition import series_of
from inferometer.simulator import SimSettings, start_simulated_server

DONE = 'inferometer_requests_done_total{kind="measure"}'


class Scraper(threading.Thread):
    """Fetches a page again and again until it is told to stop."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.over, self.pages = url, threading.Event(), []

    def run(self) -> None:
        while not self.over.wait(0.05):
            # It is refused before the run has begun, and when it has ended.
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=5) as answer:
                self.pages.append(series_of(answer.read().decode()))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict[str, float]], str]]:
    """A run with everything that follows it."""
    folder = tmp_path_factory.mktemp("followed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scraper = Scraper(f"http://127.0.0.1:{port}/metrics")
    with pytest.MonkeyPatch.context() as patch, start_simulated_server(SimSettings(base_s=0.01)) as server:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")  # nobody is there
        scraper.start()
        patch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        done = run(server.url, folder, "--prometheus-port", str(port), "--track", "otlp")
        scraper.over.set()
        scraper.join()
    assert done.code in (0, 5), "5: its own timing, on a busy machine"
    return folder, scraper.pages, done.err


def test_prometheus_sees_the_run_go_on(out):
    pages = [page for page in out[1] if DONE in page]
    counts = [page[DONE] for page in pages]
    assert counts == sorted(counts)
    assert 0 < max(counts) <= 20
    assert any(page.get("inferometer_requests_in_flight", 0) > 0 for page in pages)
    assert {page.get("inferometer_asked_concurrency", 4) for page in pages} == {4}


def test_a_tracker_that_is_not_there_spoils_nothing(out):
    folder, _, said = out
    assert "warning: --track otlp: the collector at http://127.0.0.1:9/v1/metrics did not take" in said
    assert "then inferometer export" in said
    (stored,) = folders(folder)
    assert (stored / "summary.json").exists()


def test_the_run_is_drawn_into_files(out):
    (stored,) = folders(out[0])
    done = here("report", str(stored), "--png", str(out[0] / "one.png"), "--svg", str(out[0] / "one.svg"))
    assert done.out.splitlines() == [f"picture  {out[0] / 'one.png'}", f"picture  {out[0] / 'one.svg'}"]
    assert (out[0] / "one.png").read_bytes().startswith(b"\x89PNG")
    again = here("report", str(stored), "--png", str(out[0] / "one.png"))
    assert again.code == 2
    assert "exists already" in again.err
