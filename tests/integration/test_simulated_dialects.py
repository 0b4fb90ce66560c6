"""APIs whose framing or address is their own, from ``run`` to the simulated server and back.

All others are held against the client's decoder in tests/unit/simulator/test_simulator_dialects.py, and run by
bench/sim/clients.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import check_succeeded, folders, here

from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.record.store import read_run
from inferometer.simulator import SimSettings, SimulatedServer, start_simulated_server

TOKENS, REQUESTS = 6, 4
LOAD = ("--max-concurrency", "2", "--num-prompts", str(REQUESTS), "--input-len", "8", "--warmup", "0")
# Of the engines that have /generate this one is named by the address, as its body looks like another's.
ADDRESS = {"lmdeploy-generate": "/lmdeploy"}


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with start_simulated_server(SimSettings(base_s=0.001, answer_tokens_median=400)) as running:
        yield running


@pytest.mark.parametrize("name", ["lmdeploy-generate", "vllm-generate"])
def test_a_run_over_another_api_completes(server: SimulatedServer, name: str, tmp_path: Path) -> None:
    found = CAPABILITIES[name]
    words = ["run", "--url", server.url + ADDRESS.get(name, ""), "--backend", name, "--model", "sim-llama-8b"]
    words += ["--output-len", str(TOKENS)] if "max_tokens" in found.asks else []
    done = here(*words, *LOAD, "--out", str(tmp_path), "--quiet")
    check_succeeded(done, tmp_path)
    (table,) = read_run(folders(tmp_path)[-1]).measured
    assert list(table.text("status")) == ["ok"] * REQUESTS, set(table.text("error"))
    assert set(table.number("streamed")) == {float(found.streams)}
    if "input_tokens" in found.reports:
        assert set(table.number("input_tokens_server")) == {8.0}
    if "output_tokens" in found.reports:
        assert set(table.number("output_tokens_server")) == {float(TOKENS)}
