"""Tables that the bench of the simulator reads: what is a series, what is held out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import DataError

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the bench's package ``sim``."""
    monkeypatch.syspath_prepend(str(BENCH))
    return lambda name: importlib.import_module(f"sim.{name}")


def operator_table(path: Path, tile: float) -> Path:
    """Two workers of one model; from 1,000 tokens on each time is ``tile`` times that of the roofline."""
    lines = [
        "time_stats.up.mean,time_stats.up.median,time_stats.down.median,time_stats.norm.median,n_embd,num_tokens,num_workers"
    ]
    for workers in (1, 2):
        for tokens in (1, *range(8, 2049, 8)):
            took_ms = (max(0.2, tokens * 1e-3) / workers + 0.01) * (tile if tokens >= 1000 else 1.0)
            lines += [
                f"9,{took_ms * 0.75},{took_ms * 0.25},{'' if workers == 1 else 'nan'},4096,{tokens},{workers}"
            ] * 2
    path.write_text("\n".join(lines))
    return path


def test_a_series_is_a_model_on_so_many_workers(sim: Any, tmp_path: Path) -> None:
    one, two = sim("operators").read_series(operator_table(tmp_path / "ops.csv", 1.0))

    assert (one.name, two.name) == ("ops: 4096 1", "ops: 4096 2")
    assert one.tokens.tolist() == [1, *range(8, 2049, 8)]
    assert one.seconds[-1] == pytest.approx(2.058e-3)


def test_what_is_held_out_is_not_fitted_to(sim: Any, tmp_path: Path) -> None:
    """A step beyond half of the range cannot be known, so the error is the whole of it."""
    operators = sim("operators")
    true = operators.operator_errors([operator_table(tmp_path / "true.csv", 1.0)])
    stepped = operators.operator_errors([operator_table(tmp_path / "stepped.csv", 1.2)])

    assert all(each.doubled < 0.01 and each.interior < 0.01 for each in true)
    # A fifth too little: 1 - 1/1.2, less what the last half octave has seen of it.
    assert all(0.1 < each.doubled < 0.17 for each in stepped)


def test_another_table_is_named(sim: Any, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")

    with pytest.raises(DataError, match="is no operator table: it lacks num_tokens"):
        sim("operators").read_series(tmp_path / "other.csv")


def test_batches_are_told_apart_by_size_and_repeats_are_one(sim: Any, tmp_path: Path) -> None:
    lines = ["model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,tensor_parallel"]
    for prompt, batch in [(128, 1), (256, 1), (512, 1), (1024, 1), (2048, 1), (512, 4), (512, 16), (512, 64)]:
        tokens = prompt * batch
        prompt_ms = max(256, tokens) * 0.1 + batch * prompt**2 * 1e-6
        token_ms = 20 + 0.1 * batch + 1e-4 * batch * (prompt + 64)
        lines += [f"m,h,{prompt},{batch},128,{prompt_ms * off},{token_ms},2" for off in (0.5, 1.0, 1.0)]
    (tmp_path / "batches.csv").write_text("\n".join(lines))

    (found,) = sim("batch_times").batch_errors(tmp_path / "batches.csv")

    assert found.name == "m h TP2"
    assert found.decode < 1e-6
    assert found.prefill < 0.1
