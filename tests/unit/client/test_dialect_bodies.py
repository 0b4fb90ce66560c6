"""What is sent, and what is refused because it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.client.dialects import DIALECTS, BodyOptions, path_of
from inferometer.client.dialects.asked import settle, speaking
from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.client.dialects.reading import Growing
from inferometer.client.target import Target
from inferometer.errors import UsageError
from inferometer.spec import Endpoint, RunSpec, Sampling, Workload
from inferometer.spec.image_rules import OTHER_PARTS
from inferometer.spec.session_rules import WITHOUT_MESSAGES
from inferometer.workload.request import Request

TARGET = Target(tls=False, addresses=[], host_header="h", server_name="h")
PICTURE = {
    "role": "user",
    "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {}}],
}


def sent(name: str, request: Request, **options: Any) -> dict[str, Any]:
    return json.loads(DIALECTS.get(name).body(request, BodyOptions(model="m", **options)))


def spec(backend: str, **sampling: Any) -> RunSpec:
    return RunSpec(endpoint=Endpoint(url="http://h", backend=backend), sampling=Sampling(**sampling))


def test_every_line_of_the_table_is_a_dialect() -> None:
    assert {*CAPABILITIES, "template"} == set(DIALECTS.names())
    assert all(DIALECTS.get(name).capability is row for name, row in CAPABILITIES.items())


def test_what_is_merged_into_a_body_goes_into_its_objects() -> None:
    more = {"sampling_params": {"min_p": 0.1, "max_new_tokens": None}, "lora_path": "x"}
    body = sent("sglang", Request(text="hi"), max_tokens=5, ignore_eos=True, extra_body=more)
    assert body["sampling_params"] == {"ignore_eos": True, "min_p": 0.1}
    assert body["lora_path"] == "x"


def test_the_fields_of_a_whole_body_win_but_the_stream_stays_ours() -> None:
    own = Request(
        body={"prompt": "x", "max_tokens": 7, "stream": False, "model": "theirs", "stream_options": {}}
    )
    body = sent("openai-completions", own, max_tokens=5, temperature=0.5)
    assert body == {
        "prompt": "x",
        "max_tokens": 7,
        "temperature": 0.5,
        "model": "theirs",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream" not in sent(
        "openai-completions", Request(body={"prompt": "x", "stream": True}), stream=False
    )


def test_prompts_that_an_api_cannot_take_are_refused() -> None:
    with pytest.raises(UsageError, match="token ids, which --backend openai-chat cannot send"):
        sent("openai-chat", Request(token_ids=[1]))
    with pytest.raises(
        UsageError, match="row 4 has a part of type 'image_url', and --backend tgi sends text alone"
    ):
        sent("tgi", Request(messages=[PICTURE], row=4))


def test_roles_are_flattened_where_there_are_none() -> None:
    messages = [
        {"role": "system", "content": "A"},
        {"role": "user", "content": [{"type": "text", "text": "B"}]},
    ]
    assert sent("tgi", Request(messages=messages))["inputs"] == "A\nB"


@pytest.mark.parametrize(
    ("name", "request_", "options", "path"),
    [
        ("triton", Request(text="x"), {}, "/v2/models/m/generate_stream"),
        ("triton", Request(text="x", model="a/b"), {"stream": False}, "/v2/models/a%2Fb/generate"),
        ("mindie", Request(text="x"), {}, "/infer"),
        ("mindie", Request(token_ids=[1]), {}, "/infer_token"),
        ("mindie", Request(token_ids=[1]), {"endpoint": "/gate"}, "/gate"),
        ("tgi", Request(text="x"), {"stream": False}, "/generate"),
    ],
)
def test_the_path_of_a_request(name: str, request_: Request, options: dict[str, Any], path: str) -> None:
    assert path_of(DIALECTS.get(name), request_, BodyOptions(model="m", **options)) == path


@pytest.mark.parametrize(
    ("backend", "sampling", "message"),
    [
        ("triton", {"stop": ("END",)}, "--stop cannot be asked of --backend triton"),
        ("tgi", {"ignore_eos": True}, "--ignore-eos cannot be asked of --backend tgi"),
        ("anthropic", {"min_tokens": 3}, "--min-tokens cannot be asked of --backend anthropic"),
        ("openai-embeddings", {"temperature": 0.0}, "takes no such options"),
        ("openai-embeddings", {"stream": True}, "--stream cannot be asked of --backend openai-embeddings"),
        ("nope", {}, "unknown backend 'nope'"),
        (
            "sglang",
            {"extra_body": {"text": "x"}},
            "--extra-body sets 'text', which the measurement depends on",
        ),
        (
            "dashscope",
            {"extra_body": {"parameters": {"incremental_output": False}}},
            "sets 'parameters.incremental",
        ),
    ],
)
def test_an_option_without_a_name_is_refused(backend: str, sampling: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settle(spec(backend, **sampling))


@pytest.mark.parametrize("lengths", [{"output_len": (5,)}, {"output_dist": "uniform:min=1,max=9"}])
def test_a_length_that_cannot_be_asked_for_is_refused(lengths: dict[str, Any]) -> None:
    endpoint, data = (
        Endpoint(url="http://h", backend="openai-embeddings"),
        Workload(dataset="random", **lengths),
    )
    with pytest.raises(UsageError, match=f"--output-{next(iter(lengths))[7:]} cannot be asked of"):
        settle(RunSpec(endpoint=endpoint, workload=data))


def test_token_ids_go_where_they_can() -> None:
    ids = Workload(dataset="random", text="token-ids")
    with pytest.raises(UsageError, match="--text token-ids cannot be sent by --backend tgi"):
        settle(RunSpec(endpoint=Endpoint(url="http://h", backend="tgi"), workload=ids))
    settle(RunSpec(endpoint=Endpoint(url="http://h", backend="mindie"), workload=ids))


def test_the_rules_of_sessions_and_pictures_know_the_table() -> None:
    alone = {name for name, row in CAPABILITIES.items() if "messages" not in row.prompt}
    assert set(WITHOUT_MESSAGES) == alone
    assert {*OTHER_PARTS} == {"openai-responses", "anthropic", "dashscope"}


def test_what_follows_from_a_dialect_is_settled() -> None:
    settled = settle(
        RunSpec(endpoint=Endpoint(url="http://h", backend="anthropic"), workload=Workload(dataset="random"))
    )
    assert "cannot ask for answers of full length" in settled.notes[0]
    assert settle(spec("openai-embeddings")).spec.sampling.stream is False
    assert settle(spec("sglang", ignore_eos=True, min_tokens=1, top_k=1)).notes == ()


def test_the_key_and_the_headers_are_those_of_the_dialect() -> None:
    given = Target(
        **{
            **{f: getattr(TARGET, f) for f in TARGET.__struct_fields__},
            "headers": [("Authorization", "Bearer k3y")],
        }
    )
    endpoint = Endpoint(url="http://h", api_key="k3y")
    spoken = speaking(given, endpoint, CAPABILITIES["anthropic"], stream=True)
    assert (spoken.headers, spoken.spoken) == ([("x-api-key", "k3y")], [("anthropic-version", "2023-06-01")])
    assert speaking(given, Endpoint(url="http://h"), CAPABILITIES["anthropic"], True).headers == given.headers
    for stream, headers in ((True, [("X-DashScope-SSE", "enable")]), (False, [])):
        assert speaking(TARGET, Endpoint(url="http://h"), CAPABILITIES["dashscope"], stream).spoken == headers


@pytest.mark.parametrize(
    ("url", "asked", "found"),
    [
        ("http://h/generate", "vllm", ("http://h", None, "vllm-generate")),
        ("http://h/x/generate", "sglang", ("http://h/x", None, "sglang")),
        ("http://h/v1/messages", None, ("http://h", None, "anthropic")),
        ("http://h/generate_stream", None, ("http://h", None, "tgi")),
        ("http://h/v1/completions", "vllm", ("http://h", None, "vllm")),
        (
            "http://h/v2/models/m/generate_stream",
            "triton",
            ("http://h", "/v2/models/m/generate_stream", "triton"),
        ),
        ("http://h/infer", None, ("http://h", None, "mindie")),
    ],
)
def test_a_pasted_path_chooses_the_dialect(url: str, asked: str | None, found: tuple[str, ...]) -> None:
    endpoint = Endpoint(url=url, **({"backend": asked} if asked else {}))
    assert (endpoint.url, endpoint.endpoint, endpoint.backend) == found


@pytest.mark.parametrize(
    ("url", "asked", "message"),
    [
        ("http://h/generate", None, "say which: --backend vllm-generate, sglang, lmdeploy-generate or tgi"),
        ("http://h/v1/messages", "openai-chat", "--backend openai-chat does not speak the path"),
    ],
)
def test_a_path_that_does_not_fit_is_refused(url: str, asked: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Endpoint(url=url, **({"backend": asked} if asked else {}))


def test_the_pages_of_the_documents_are_those_of_the_program() -> None:
    from inferometer.cli.backends import backends_markdown

    docs = Path(__file__).parents[3] / "docs"
    for language in ("en", "zh"):
        assert (docs / language / "backends.md").read_text("utf-8") == backends_markdown(language)


@pytest.mark.parametrize(
    ("texts", "added"),
    [
        (["a", "ab", "ab", "abc"], ["a", "b", "", "c"]),
        (["caf\ufffd", "café"], ["caf", "é"]),
        (["one stop", "one"], ["one stop", ""]),
        (["one tw", "one to!"], ["one tw", "o!"]),
        ([" the", " cat", " the"], [" the", " cat", " the"]),
    ],
)
def test_what_growing_texts_add(texts: list[str], added: list[str]) -> None:
    growing = Growing()
    assert [growing.add(text) for text in texts] == added
