"""Whatever stands in a trace file, it is read or refused with a message."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.errors import InferometerError
from inferometer.spec import Endpoint, LoadPoint, RunSpec, Trace, Workload
from inferometer.workload import open_dataset
from inferometer.workload.builtin import BuiltinTokenizer

BUILTIN = BuiltinTokenizer()
POINT = LoadPoint(
    index=1,
    kind="measure",
    max_concurrency=None,
    request_rate=None,
    burstiness=1.0,
    num_prompts=None,
    duration_s=None,
    input_len=None,
    output_len=None,
    seed=0,
    trace=True,
)
NUMBERS = st.integers(-5, 2000) | st.integers() | st.floats()
VALUES = (
    NUMBERS
    | st.none()
    | st.booleans()
    | st.text(max_size=5)
    | st.lists(NUMBERS | st.text(max_size=3), max_size=5)
)
FIELDS = {
    "mooncake": ("timestamp", "input_length", "output_length", "hash_ids"),
    "bailian": ("timestamp", "input_length", "output_length", "hash_ids", "turn", "chat_id"),
    "trace": (
        "timestamp_s", "timestamp_ms", "input_tokens", "output_tokens", "prompt", "messages", "hash_ids", "block_size",
        "model", "session",
    ),
}  # fmt: skip
HEADS = {
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens",
}
CELLS = NUMBERS.map(str) | st.sampled_from(
    ["", "x", "2024-05-10 00:00:00.1", "2024-02-31 00:00:00", "1e999", "4"]
)
SLOW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)


def read(path, dataset, on_bad_row="fail"):
    """The prompt lengths of all requests, or the refusal."""
    spec = RunSpec(
        endpoint=Endpoint(url="http://h:1"),
        workload=Workload(dataset=dataset, dataset_path=str(path), on_bad_row=on_bad_row, max_model_len=5000),
        trace=Trace(trace_speed=3.0),
    )
    try:
        opened = open_dataset(spec, POINT, BUILTIN)
    except InferometerError as error:
        return error
    offsets = list(opened.offsets_ns())
    assert offsets == sorted(offsets)
    requests = list(opened.requests(1, "s"))
    assert [request.at_ns for request in requests] == offsets
    share = opened.info().expected_hit_share
    assert share is None or 0 <= share < 1
    return [request.input_tokens_target for request in requests]


def assert_read_or_refused(found, path):
    """Either requests of a length that a model could have, or a refusal that names the file and a next step."""
    if isinstance(found, InferometerError):
        assert str(path) in found.message
        assert found.next_step
    else:
        assert found
        assert all(length is None or 0 < length < 5000 for length in found)


GOOD = {
    "mooncake": '{"timestamp": 0, "input_length": 513, "output_length": 3, "hash_ids": [7, 8]}\n',
    "bailian": '{"timestamp": 0, "input_length": 17, "output_length": 3, "turn": 1, "hash_ids": [7, 8]}\n',
    "trace": '{"timestamp_s": 0, "input_tokens": 30, "output_tokens": 3}\n',
    "burstgpt": HEADS["burstgpt"] + "\n5,ChatGPT,472,18,490,Conversation log\n",
    "azure": HEADS["azure"] + "\n2023-11-16 18:15:46.6805900,374,44\n",
}


@pytest.mark.parametrize(
    ("dataset", "lengths"),
    [("mooncake", [513]), ("bailian", [17]), ("trace", [30]), ("burstgpt", [472]), ("azure", [374])],
)
def test_a_good_file_is_read_and_not_refused(tmp_path, dataset, lengths):
    path = tmp_path / ("t.csv" if dataset in HEADS else "t.jsonl")
    path.write_text(GOOD[dataset])
    assert read(path, dataset) == lengths


@pytest.mark.parametrize("dataset", sorted(FIELDS))
@given(data=st.data(), on_bad_row=st.sampled_from(["fail", "skip"]))
@SLOW
def test_json_rows(tmp_path, dataset, data, on_bad_row):
    row = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[dataset], VALUES))
    likely = st.fixed_dictionaries(
        {name: st.integers(1, 600) for name in FIELDS[dataset][:3] if name != "timestamp_s"}
        | {FIELDS[dataset][3]: st.lists(st.integers(0, 3), max_size=3) | st.integers(1, 9)}
    )
    rows = data.draw(st.lists(row | likely, max_size=6))
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert_read_or_refused(read(path, dataset, on_bad_row), path)


@pytest.mark.parametrize("dataset", sorted(HEADS))
@given(data=st.data(), on_bad_row=st.sampled_from(["fail", "skip"]))
@SLOW
def test_tables(tmp_path, dataset, data, on_bad_row):
    width = HEADS[dataset].count(",") + 1
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6))
    path = tmp_path / "t.csv"
    path.write_text("\n".join([HEADS[dataset], *map(",".join, rows)]))
    assert_read_or_refused(read(path, dataset, on_bad_row), path)


@pytest.mark.parametrize("dataset", sorted(FIELDS) + sorted(HEADS))
@given(content=st.binary(max_size=200))
@SLOW
def test_any_bytes(tmp_path, dataset, content):
    path = tmp_path / ("t.csv" if dataset in HEADS else "t.jsonl")
    path.write_bytes(content)
    assert_read_or_refused(read(path, dataset, "skip"), path)
