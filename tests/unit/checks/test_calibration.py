"""How a calibration shares the machine between the generator, the truth server and the parent."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer import api
from inferometer.api import checking, preparing
from inferometer.checks.calibration import server_share


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        (16, 1, (15, 4)),
        (16, 13, (3, 3)),
        (3, 1, (2, 2)),
        (2, 1, (1, 1)),
        (1, 1, (0, 1)),
        (2, 8, (0, 1)),  # it may run anywhere: there is no core that the workers leave free
        (0, 1, (0, 1)),
    ],
)
def test_the_server_has_all_cores_that_the_workers_do_not_use(
    cores: int, workers: int, expected: tuple[int, int]
) -> None:
    free, processes = server_share(list(range(cores)), workers)
    assert (len(free), processes) == expected
    assert list(free) == list(range(len(free)))  # workers are pinned to the last cores


@pytest.mark.parametrize(("asked", "workers"), [(None, 1), (3, 3)])
def test_one_worker_is_measured_unless_more_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: int | None, workers: int
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(preparing, "usable_cores", lambda: 16)
    monkeypatch.setattr(checking.calibrating, "calibrate", lambda *arguments: told.extend(arguments))
    api.calibrate(observer=None, workers=asked)  # type: ignore[arg-type]  # nothing is measured here
    assert told[1] == workers
