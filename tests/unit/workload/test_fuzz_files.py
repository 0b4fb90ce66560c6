"""Whatever is in a file: rows that can be sent, or an error that a person can act on."""

import gzip
import json

import duckdb
import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.errors import InferometerError
from inferometer.spec import LoadPoint, RunSpec, Sessions, Workload
from inferometer.spec.data_rules import FILE_DATASETS
from inferometer.workload import open_dataset
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.catalogue_entries import ENTRIES
from inferometer.workload.hub import local_path

POINT = LoadPoint(
    index=1, kind="measure", max_concurrency=1, request_rate=None, burstiness=1.0, num_prompts=1,
    duration_s=None, input_len=None, output_len=None, seed=0,
)  # fmt: skip
EXAMPLES = {entry.name: entry.example for entry in ENTRIES if entry.name in FILE_DATASETS}
ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".txt", "")
BOUNDED = settings(max_examples=60, deadline=None)

WORDS = """conversations conversation from value role content human assistant question prompt instruction input output
turns category messages body model max_tokens temperature system chat_rounds answer text"""
NAMES = st.sampled_from(WORDS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "assistant", "human", "gpt", "system", '[{"role": "user", "content": "a"}]'])
)
NEAR_MISSES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def outcome(path, name, *, skip=False, multi_turn=False):
    """The requests of a file, or None when it was refused."""
    workload = Workload(dataset=name, dataset_path=str(path), on_bad_row="skip" if skip else "fail")
    spec = RunSpec(workload=workload, sessions=Sessions(multi_turn=multi_turn))
    try:
        dataset = open_dataset(spec, POINT, BuiltinTokenizer())
        requests = list(dataset.requests(0, ""))
    except InferometerError as error:
        return refused(error, path)
    info = dataset.info()
    assert info.rows_total >= len(requests) + sum(info.skipped.values())
    for request in requests:
        assert msgspec.json.encode(request)
        assert sum(bool(p) for p in (request.text, request.messages, request.body)) == 1
        assert request.output_tokens_target is None or request.output_tokens_target > 0
    return requests


def refused(error, path):
    assert str(path) in str(error)


def check(folder, name, ending, content):
    path = folder / f"rows{ending}"
    path.write_bytes(content)
    for multi_turn in (False, True):
        strict = outcome(path, name, multi_turn=multi_turn)
        lenient = outcome(path, name, skip=True, multi_turn=multi_turn)
        assert strict is None or strict == lenient


@pytest.mark.parametrize("name", FILE_DATASETS)
@BOUNDED
@given(
    content=st.binary(max_size=80) | st.text('[]{}":,1\n\t a', max_size=40).map(str.encode), data=st.data()
)
def test_random_bytes(folder, name, content, data):
    check(folder, name, data.draw(st.sampled_from(ENDINGS)), content)


@pytest.mark.parametrize("name", FILE_DATASETS)
@BOUNDED
@given(rows=st.lists(NEAR_MISSES, min_size=1, max_size=3), as_lines=st.booleans())
def test_json_that_nearly_fits(folder, name, rows, as_lines):
    text = "\n".join(json.dumps(row) for row in rows) if as_lines else json.dumps(rows)
    check(folder, name, ".jsonl", text.encode())


@pytest.mark.parametrize("name", FILE_DATASETS)
@BOUNDED
@given(data=st.data())
def test_good_files_with_damage(folder, name, data):
    good = (EXAMPLES[name] + "\n").encode() * 3
    check(folder, name, ".jsonl", damaged(good, data))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstandard"])
@BOUNDED
@given(data=st.data())
def test_packed_files_with_damage(folder, pack, data):
    check(folder, "openqa", ".jsonl.x", damaged(pack(b'{"question": "why"}\n' * 9), data))


@pytest.mark.parametrize("name", ["custom", "mtbench"])
@settings(max_examples=20, deadline=None)  # each is opened four times, by a library that takes its time
@given(data=st.data())
def test_parquet_with_damage(folder, name, data):
    whole = folder / "whole.parquet"
    if not whole.exists():
        select = "SELECT 'why' AS prompt, ['one', 'two'] AS turns, i AS n FROM range(9) r(i)"
        duckdb.connect().execute(f"COPY ({select}) TO '{whole}'")
    check(folder, name, ".parquet", damaged(whole.read_bytes(), data))


@BOUNDED
@given(rest=st.text("abn/@.:%~", max_size=20))
def test_addresses_of_hubs(rest):
    assert "://OWNER/NAME" in place(f"hf://{rest}") or place(f"modelscope://{rest}").startswith("https://")


def place(address):
    """The URL of a file, or why there is none."""
    try:
        return local_path(address, {}, lambda wanted, environ: wanted.url(environ))
    except InferometerError as error:
        return str(error)


def damaged(good, data):
    """Some bytes of it changed, left out or doubled."""
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        count = data.draw(st.integers(0, 6))
        content[at : at + count] = data.draw(st.binary(max_size=6) | st.just(bytes(content[at : at + 9])))
    return bytes(content)
