"""Run folders with what the list of runs reads, and what the pages are given in place of the rooms above."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from inferometer.clock import MonotonicClock
from inferometer.record.folder import read_meta, write_meta
from inferometer.record.types import PointRecord, RunMeta
from inferometer.report.page.model import Note, Page, Section
from inferometer.report.words import same
from inferometer.ui.app import make_app
from inferometer.ui.deeds import Compared
from inferometer.ui.house import House, Settings, make_house

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"


def store_run(out: Path, name: str, **about: Any) -> Path:
    """A closed run; ``summary`` is written as ``summary.json``."""
    folder = out / name
    folder.mkdir(parents=True)
    summary = about.pop("summary", None)
    values: dict[str, Any] = {
        "run_id": name,
        "state": "complete",
        "simulated": False,
        "created_utc": "2026-11-22T05:00:00+00:00",
        "model": "m",
        "spec": {},
        "points": [PointRecord(index=1, kind="measure", load={"max_concurrency": 4}, dispatched=20)],
        "verdict": {"word": "VALID"},
    }
    write_meta(folder, RunMeta(**{**values, **about}))
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def numbers(output_per_s: float, concurrency: int = 4, failed: int = 0) -> dict[str, Any]:
    """A load point of ``summary.json``, as far as the list reads it."""
    return {
        "load": {"max_concurrency": concurrency},
        "counts": {"failed": failed, "ok": 20},
        "values": {"output_throughput_per_s": output_per_s},
        "stats": {"ttft_ms": {"count": 20, "percentiles": {"p50": 10.0 * concurrency, "p99": None}}},
    }


class Told:
    """Deeds that note what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def report(self, folder: Path) -> Page:
        self.asked.append(("report", folder.name))
        meta = read_meta(folder)
        section = Section(key="only", title=same("Only"), blocks=(Note(text=same(meta.model)),))
        return Page(title=same(meta.model), subtitle=same(""), sections=(section,), simulated=meta.simulated)

    def comparison(self, folders: Sequence[Path], allow_different: bool) -> Compared:
        """Not alike are runs of which one is called ``different``."""
        names = [folder.name for folder in folders]
        self.asked.append(("comparison", *names, allow_different))
        page = Page(title=same(" / ".join(names)), subtitle=same(""), sections=(), simulated=False)
        return Compared(page, comparable=allow_different or "different" not in names)

    def relabel(self, folder: Path, label: str, labels: Mapping[str, str]) -> None:
        self.asked.append(("relabel", folder.name, label, dict(labels)))


def house(out: Path, **changed: Any) -> House:
    values = {"out": out, "host": "127.0.0.1", "port": 8765, "token": None, "read_only": False}
    return make_house(Settings(**{**values, **changed}), Told(), MonotonicClock())


def client(of: House) -> TestClient:
    return TestClient(make_app(of), base_url="http://127.0.0.1:8765", follow_redirects=False)


def sign(pages: TestClient, of: House) -> str:
    """What the forms of this client's session carry."""
    pages.get("/")
    return of.sessions.sign(str(pages.cookies[of.sessions.cookie]))
