"""A dialect made from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.cli.backends import EXAMPLE
from inferometer.client.dialects import BodyOptions, Dialect, open_dialect
from inferometer.client.dialects.asked import settle
from inferometer.errors import UsageError
from inferometer.spec import Endpoint, RunSpec, Sampling, check_spec
from inferometer.testing.dialects import Expected, Recording, check_dialect, decode
from inferometer.workload.request import Request

FILE = """\
path: /api/{model}/ask
headers: {X-Client: inferometer}
body: |
  {"question": {{ prompt | tojson }}, "limit": {{ max_tokens }}
   {% if temperature is not none %}, "heat": {{ temperature }}{% endif %}}
framing: ndjson
text: result.all
text_is: cumulative
reasoning: result.thoughts
finish_reason: result.why
error: problem.text
done: result.last
id: ticket
usage: {input: counts.in, output: counts.out}
"""


def opened(tmp_path: Path, text: str = FILE) -> Dialect:
    (tmp_path / "api.yaml").write_text(text, "utf-8")
    return open_dialect("template", str(tmp_path / "api.yaml"))


def line(**result: Any) -> bytes:
    counts = {"in": 4, "out": result.pop("n")}
    return json.dumps({"ticket": 17, "result": result, "counts": counts}, ensure_ascii=False).encode() + b"\n"


def recording(answer: bytes, **expected: Any) -> Recording:
    return Recording(
        name="made",
        source="made up",
        request=Request(text='say "é"'),
        options=BodyOptions(model="a b", max_tokens=9),
        path="/api/a%20b/ask",
        sent={"question": 'say "é"', "limit": 9},
        content_type="application/x-ndjson",
        expected=Expected(**expected),
        answer=answer,
    )


def test_a_file_makes_a_dialect_that_keeps_its_contract(tmp_path: Path) -> None:
    whole = (
        line(thoughts="hm", all="", n=1) + line(all="Ja", n=2) + line(all="Ja", n=2) + line(all="Ja, é", n=4)
    )
    ends: dict[str, Any] = {"text": "hmJa, é", "input_tokens": 4, "output_tokens": 4, "response_id": "17"}
    ends |= {"chunks": 3, "chunk_tokens": [1, 1, 2]}
    recordings = [
        recording(whole + line(all="Ja, é", last=True, n=4), **ends),
        recording(whole + line(all="Ja, é", why="length", n=4), finish_reason="length", **ends),
        recording(
            line(all="Ja", n=1) + b'{"problem": {"text": "out of paper"}}\n',
            status="stream_error",
            text="Ja",
            error="out of paper",
            input_tokens=4,
            output_tokens=1,
        ),
    ]
    check_dialect(opened(tmp_path), recordings)


def test_sse_with_a_mark_at_the_end(tmp_path: Path) -> None:
    dialect = opened(
        tmp_path, "path: /x\nbody: '{\"p\": {{ messages | tojson }}}'\ntext: c[0].t\ndone: '[FIN]'\n"
    )
    answer = b'data: {"c": [{"t": "a"}]}\n\ndata: {"c": [{"t": "b"}]}\n\ndata: [FIN]\n\n'
    asked = recording(answer, text="ab", chunks=2)
    messages = [{"role": "user", "content": 'say "é"'}]
    check_dialect(
        dialect,
        [
            Recording(
                **{
                    **_fields(asked),
                    "path": "/x",
                    "content_type": "text/event-stream",
                    "sent": {"p": messages},
                }
            )
        ],
    )


def _fields(recording_: Recording) -> dict[str, Any]:
    return {name: getattr(recording_, name) for name in recording_.__struct_fields__}


def test_the_example_of_the_documents_is_one(tmp_path: Path) -> None:
    dialect = opened(tmp_path, EXAMPLE)
    body = json.loads(dialect.body(Request(text="hi"), BodyOptions(model="m", max_tokens=2, temperature=0.5)))
    assert body == {"question": "hi", "limit": 2, "heat": 0.5}


def test_a_whole_reply(tmp_path: Path) -> None:
    dialect = opened(tmp_path)
    delta = dialect.reply(line(all="Ja", n=3))
    assert (delta.text, delta.usage and delta.usage.output_tokens) == ("Ja", 3)


def test_what_the_file_does_not_use_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    endpoint = Endpoint(url="http://h", backend="template", template=str(tmp_path / "api.yaml"))
    assert (
        settle(
            RunSpec(endpoint=endpoint, sampling=Sampling(temperature=0.0, max_tokens=3, ignore_eos=False))
        ).notes
        == ()
    )
    with pytest.raises(
        UsageError, match="--top-p cannot be asked of --backend template, which takes --max-tokens, --temp"
    ):
        settle(RunSpec(endpoint=endpoint, sampling=Sampling(top_p=0.5)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("framing: ndjson", "framing: lines", r"line 6: framing: 'lines' is not known \(write sse, ndjson"),
        ("text: result", "txt: result", r"line 7: txt: no such key \(did you mean 'text'\?\)"),
        ("path: /api/{model}/ask", "", "path: it is missing"),
        ("path: /api", "path: api", "line 1: path: 'api/{model}/ask' does not begin with /"),
        ("{{ max_tokens }}", "{{ max_token }}", "line 4: body: 'max_token' is not known"),
        ("{% endif %}", "{% end %}", "line 5: body: "),
        ("{{ max_tokens }}", "{{ max_tokens | nope }}", "line 4: body: No filter named 'nope'"),
        ("| tojson", "", "line 4: body: it does not make JSON"),
        ("{{ prompt | tojson }}", "1", "line 3: body: it holds neither prompt, messages nor token_ids"),
        ("counts.out", "counts..out", "line 14: usage.output: 'counts..out' is no path of fields"),
        ("output:", "outputs:", "line 14: usage.outputs: no such count"),
        ("text_is: cumulative", "text_is: [1", "line 9"),
        ("error: problem.text", "error: 7", "line 11: error: 7 is no text"),
        ("{{ prompt | tojson }}", "{{ prompt.__class__.__mro__ | tojson }}", "line 4: body: "),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(UsageError, match=message) as error:
        opened(tmp_path, FILE.replace(old, new))
    assert "api.yaml line" in str(error.value)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"backend": "template"}, "--backend template needs a file"),
        ({"template": "x.yaml"}, "but --backend is openai-chat"),
        ({"backend": "template", "template": "/no/such.yaml"}, "is not a file"),
    ],
)
def test_file_and_backend_belong_together(endpoint: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_spec(RunSpec(endpoint=Endpoint(url="http://h", **endpoint)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("path: /api/{model}/ask", "path: 2024-99-99", "line 1: not YAML: month must be"),
        ("path: /api/{model}/ask", "path: !!int x", "line 1: not YAML: invalid literal"),
        ("path: /api/{model}/ask", "path: " + "[" * 3000, "line 1: not YAML: maximum recursion depth"),
        ("path: /api/{model}/ask", "path: /a\npath: /b", "line 2: path: it stands in line 1 already"),
        ("{model}", "{name}", "line 1: path: '/api/{name}/ask' holds blanks, braces other than {model}"),
        ("/ask", "/问", "line 1: path: .* or signs that are not ASCII"),
        ("/ask", "/a b", "line 1: path: .* holds blanks"),
        ("X-Client: inferometer", "Host: [planted-1]", "line 2: headers.Host: it is no text of one line"),
        ("X-Client: inferometer", "X-Key: planted-钥", "line 2: headers.X-Key: a header is written"),
        ("X-Client: inferometer", "'X Y: Z': planted-1", "line 2: headers.X Y: Z: a header is written"),
        ("X-Client: inferometer", "'X:Y': planted-1", "line 2: headers.X:Y: it is no name of a header"),
        ("X-Client: inferometer", "Content-Length: 5", "line 2: headers.Content-Length: it follows from the"),
        ("{X-Client: inferometer}", "[planted-1]", "line 2: headers: it holds no keys"),
        ("{{ prompt | tojson }}", '"{{ prompt }}"', "line 4: body: it does not make JSON"),
        ("{{ max_tokens }}", "{{ 1 / 0 }}", "line 4: body: division by zero"),
        ("{{ max_tokens }}", "{{ range(10 ** 9) | list | tojson }}", "line 4: body: Range too big"),
        ("{{ prompt | tojson }}", "{{ prompt.encode('x-y') }}", "line 4: body: unknown encoding"),
        (
            "{{ max_tokens }}",
            "{% for i in range(9999) %}[{% endfor %}",
            "line 4: body: it does not make JSON",
        ),
        ("text: result.all", f"text: a[{'9' * 5000}]", "line 7: text: .* is no path of fields"),
    ],
)
def test_a_strange_file_is_refused_and_nothing_of_a_header_is_said(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in FILE
    with pytest.raises(UsageError, match=message) as error:
        opened(tmp_path, FILE.replace(old, new, 1))
    assert "planted" not in str(error.value)


SSE = "path: /x\nbody: '{\"p\": {{ prompt | tojson }}}'\ntext: say\nerror: problem\n"


@pytest.mark.parametrize("done", ["last", "FIN", "state=END"])
def test_an_end_of_each_kind_ends_a_stream_with_comments(tmp_path: Path, done: str) -> None:
    dialect = opened(tmp_path, f"{SSE}done: {done}\n")
    end = {"last": b'{"last": true}', "FIN": b"FIN", "state=END": b'{"state": "END"}'}[done]
    answer = b': still here\n\ndata: {"say": "a"}\n\n: still here\n\ndata: {"say": "b"}\n\ndata: ' + end
    asked = sse_recording(answer + b"\n\n", Expected(text="ab", chunks=2))
    record, _ = decode(dialect, asked, asked.answer, [])
    assert (record.status, record.finish_reason) == ("ok", None)
    check_dialect(dialect, [asked])


def test_an_event_of_type_error_is_one(tmp_path: Path) -> None:
    answer = b'data: {"say": "a"}\n\nevent: error\ndata: {"what": "out of ink"}\n\n'
    expected = Expected(status="stream_error", text="a", error="out of ink")
    check_dialect(opened(tmp_path, SSE), [sse_recording(answer, expected)])


def test_an_answer_without_a_text_says_where_it_was_looked_for(tmp_path: Path) -> None:
    asked = sse_recording(b'data: {"said": "a"}\n\n', Expected())
    record, _ = decode(opened(tmp_path, SSE), asked, asked.answer, [])
    assert (record.status, record.error) == (
        "empty",
        "the stream carried no output: no event has a text at say",
    )


def sse_recording(answer: bytes, expected: Expected) -> Recording:
    fields = {**_fields(recording(answer)), "path": "/x", "content_type": "text/event-stream"}
    return Recording(**{**fields, "sent": {"p": 'say "é"'}, "expected": expected})


def test_a_model_in_the_body_has_to_be_named(tmp_path: Path) -> None:
    assert not opened(tmp_path, SSE).capability.names_model
    assert opened(tmp_path, SSE.replace('{"p"', '{"m": {{ model | tojson }}, "p"')).capability.names_model


def test_an_address_that_ends_with_the_path_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, SSE)
    endpoint = Endpoint(url="http://h/api/x", backend="template", template=str(tmp_path / "api.yaml"))
    with pytest.raises(
        UsageError, match=r"ends with /x, which .*api.yaml adds to it \(write --url http://h/api\)"
    ):
        settle(RunSpec(endpoint=endpoint))
