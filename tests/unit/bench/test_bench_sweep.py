"""The sweep's bench: what it reads of a table, and what it knows of an engine that the table does not say."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from inferometer.errors import DataError

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


def changed(path: Path, row: dict[str, str]) -> Path:
    """A table whose first row has other values; a column that it lacks is added."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows[0].update(row)
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    "row",
    [{"osl": "1"}, {"silicon_tpot_ms": "nan"}, {"silicon_ttft_ms": "0"}, {"isl": ""}, {"mode": "disagg"}],
)
def test_a_row_that_is_no_load_point_is_left_out(
    sweep: ModuleType, tmp_path: Path, row: dict[str, str]
) -> None:
    file = changed(table(tmp_path / "a.csv", model="Llama-3.1-8B"), row)
    places = [(p.concurrency, p.input_tokens) for p in sweep.read_sweep(file)[0].points]
    # The first row was there twice, so its place is still there, after the one that followed it.
    assert places == [(4, 8192), (4, 1024), (16, 1024), (16, 8192), (64, 1024), (64, 8192)]


def test_ranks_share_the_clients_and_have_no_roofline(sweep: ModuleType, tmp_path: Path) -> None:
    file = changed(table(tmp_path / "a.csv", model="Llama-3.1-8B"), {"attention_dp_size": "2"})
    alone, others = sweep.read_sweep(file)
    assert [point.concurrency for point in alone.points] == [2]
    assert alone.engine.prior is None
    assert others.engine.prior is not None


def test_a_table_needs_no_more_than_places_and_times(sweep: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "bare.csv"
    head = "model_path,system,isl,osl,batch_size,silicon_ttft_ms,silicon_tpot_ms"
    file.write_text(f"{head}\nLlama-3.1-8B,h100_sxm,1024.0,128.0,8,90,9\n")
    (config,) = sweep.read_sweep(file)
    assert config.points == (
        sweep.Point(concurrency=8, input_tokens=1024, output_tokens=128, ttft_s=0.09, tpot_s=0.009),
    )
    file.write_text(head.replace("osl,", "") + "\n")
    with pytest.raises(DataError, match="no column osl"):
        sweep.read_sweep(file)


def test_where_all_points_fill_the_pool_the_smallest_calibrate(sweep: ModuleType, tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", model="Llama-3.1-8B")
    file.write_text(file.read_text().replace(",1024,1024,", ",900000,1024,").replace(",8192,", ",800000,"))
    (config,) = sweep.read_sweep(file)
    chosen = sweep.spanning(config)
    assert len(chosen) == sweep.POINTS
    assert (64, 900_000) not in {(point.concurrency, point.input_tokens) for point in chosen}
    assert all(config.engine.limits(p).max_model_len >= p.input_tokens + p.output_tokens for p in chosen)


def test_each_check_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "bench"))
    checks = importlib.import_module("sim.table").CHECKS
    assert len(set(checks)) == len(checks)
