"""The views against what the tools themselves wrote of the same traffic; see bench/views/run.py for how it was made."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from run_builder import point, request_columns, run

from inferometer.metrics.views.aiperf import aiperf_result
from inferometer.metrics.views.evalscope import evalscope_result
from inferometer.metrics.views.guidellm import guidellm_result
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.tables import PointTable
from inferometer.record.types import RequestRecord

DATA = Path(__file__).parents[2] / "data" / "views"
RESULTS = {
    "vllm": lambda table, meta: vllm_result(table, meta, percentiles=(50, 90, 99)),
    "evalscope": evalscope_result,
    "aiperf": aiperf_result,
    "guidellm": guidellm_result,
}
FEWEST = {"vllm": 30, "evalscope": 110, "aiperf": 190, "guidellm": 700}


def table_of(record: dict[str, Any]) -> PointTable:
    requests = msgspec.convert(record["requests"], list[RequestRecord])
    chunks = np.array([[np.nan if v is None else v for v in row] for row in record["chunks"]], dtype=float)
    names = ("request", "recv_ns", "tokens", "kind", "read")
    columns = {name: chunks[:, place] for place, name in enumerate(names)}
    missing = np.full(len(chunks), np.nan)
    bare = point(requests)
    return PointTable(bare.point, request_columns(requests), columns | {"chars": missing, "lag_ns": missing})


@pytest.mark.parametrize("tool", RESULTS)
def test_every_number_of_the_tools_own_result_file(tool: str) -> None:
    golden = json.loads((DATA / f"{tool}.json").read_text(encoding="utf-8"))
    table = table_of(golden["record"])
    view = RESULTS[tool](table, run(table).meta)
    held = 0
    for path, theirs in golden["figures"]:
        ours = view
        for part in path:
            ours = ours[part]
        whole_run = set(path) & set(golden["windowed"])
        relative = 0.01 if whole_run else golden["relative"]
        assert math.isclose(ours, theirs, rel_tol=relative, abs_tol=2.1 * golden["rounding"] + 1e-9), path
        held += 1
    assert held >= FEWEST[tool]
