"""The sweep's bench: what it reads of a table, and what it knows of an engine that the table does not say."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

HEADER = (
    "silicon_data_source,backend,model_path,system,precision,isl,osl,gemm_quant_mode,batch_size,tp_size,pp_size,"
    "silicon_ttft_ms,silicon_tpot_ms"
)


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "bench"))
    return importlib.import_module("sim.sweep")


def table(path: Path, *, model: str, system: str = "h200_sxm", devices: tuple[int, ...] = (1,)) -> Path:
    rows = [HEADER]
    for tensor in devices:
        for clients in (4, 16, 64):
            for given, made in ((1024, 1024), (8192, 1024), (1024, 1024)):
                source = f"a;silicon_concurrency={clients}"
                rows.append(
                    f"{source},vllm,{model},{system},,{given},{made},,1,{tensor},1,{given / 10},{clients / 2 + 8}"
                )
    path.write_text("\n".join(rows))
    return path


def test_a_place_counts_once_and_concurrency_is_that_of_its_source(sweep: ModuleType, tmp_path: Path) -> None:
    (config,) = sweep.read_sweep(table(tmp_path / "a.csv", model="meta-llama/Llama-3.1-8B-Instruct"))
    assert [point.concurrency for point in config.points] == [4, 4, 16, 16, 64, 64]
    assert config.points[1].ttft_s == pytest.approx(0.8192)


def test_weights_are_in_eight_bits_where_sixteen_would_not_fit(sweep: ModuleType, tmp_path: Path) -> None:
    on_two = sweep.read_sweep(table(tmp_path / "two.csv", model="Llama-3.1-70B", devices=(2,)))
    on_one_too = sweep.read_sweep(table(tmp_path / "one.csv", model="Llama-3.1-70B", devices=(1, 2)))
    plain, narrow = on_two[0].engine.prior, on_one_too[1].engine.prior
    assert plain.center.weights_s == pytest.approx(2 * narrow.center.weights_s, rel=0.05)
    # Half the bytes of a token in twice the room, less what both keep.
    assert on_one_too[1].engine.pool_tokens > 3 * on_two[0].engine.pool_tokens


def test_what_is_not_known_is_not_made_up(sweep: ModuleType, tmp_path: Path) -> None:
    (config,) = sweep.read_sweep(table(tmp_path / "a.csv", model="acme/new-7b", system="abacus"))
    assert config.engine.prior is None
    assert config.engine.limits(config.points[-1]).kv_blocks * 16 > 64 * 9216
    assert len(sweep.spanning(config)) == sweep.POINTS
