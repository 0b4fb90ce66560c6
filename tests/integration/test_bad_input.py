"""The unlucky user: whatever is wrong, one message says what, by which rule, and what to do next."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from commands import (
    SHORT,
    check_message,
    check_succeeded,
    folders,
    here,
    run,
    run_questions,
    statuses,
    stored,
)

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.faults import Fault
from inferometer.testing.fault_server import FaultServer, Script, Send
from inferometer.testing.streams import answering, delta, models, plain, sse, stream, usage

WORDS = [(0.0, sse(delta(f" w{i}"))) for i in range(8)]
END = [(0.001, sse(delta(finish="length"))), (0.001, sse(usage(8, 8))), (0.001, sse("[DONE]"))]
GOOD = stream([*WORDS, *END])
HTML = b"<html><body>Welcome to nginx!</body></html>"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INFEROMETER_") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        yield server.url


def fault(**fields: object) -> tuple[str, str]:
    return "--extra-body", '{"inferometer_fault": ' + str(fields).replace("'", '"') + "}"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- nobody there, or somebody else ---------------------------------------------------------------------------


def test_nobody_listens(tmp_path: Path) -> None:
    port = closed_port()
    done = run(f"http://127.0.0.1:{port}", tmp_path)
    check_message(done, 6, f"127.0.0.1 port {port}", "Connection refused", "is the server up")
    assert folders(tmp_path) == []


@pytest.mark.parametrize("host", ["nohost.invalid", "a..b", "a" * 70 + ".invalid"])
def test_a_name_that_cannot_be_resolved(host: str, tmp_path: Path) -> None:
    check_message(run(f"http://{host}:8000", tmp_path), 6, host, "cannot be resolved", "check the spelling")


def test_a_name_with_an_address_where_nobody_listens_uses_the_other(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(url.rpartition(":")[2])
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed_port())),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
    check_succeeded(run(f"http://localhost:{port}", tmp_path), tmp_path)


def test_https_to_an_http_server(url: str, tmp_path: Path) -> None:
    check_message(run(url.replace("http", "https"), tmp_path), 6, "TLS handshake", "write http:// in --url")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[FaultServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FaultServer(answering(GOOD), context) as server:
        yield server


def test_http_to_an_https_server(tls_server: FaultServer, tmp_path: Path) -> None:
    check_message(run(tls_server.url.replace("https", "http"), tmp_path), 6, "write https:// in --url")


def test_an_unknown_certificate(tls_server: FaultServer, authority: trustme.CA, tmp_path: Path) -> None:
    check_message(run(tls_server.url, tmp_path), 6, "certificate verify failed", "--ca-file", "--insecure")
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    for flags in (["--insecure"], ["--ca-file", str(ca_file)]):
        out = tmp_path / flags[0].strip("-")
        run(tls_server.url, out, *flags)
        assert statuses(stored(out)) == ["ok"] * 20


def test_a_certificate_for_another_name(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.invalid").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with FaultServer(answering(GOOD), context) as server:
        done = run(server.url, tmp_path, "--ca-file", str(ca_file))
    check_message(done, 6, "mismatch", "the host name that the certificate is for")


REPLIES = {
    "html": (plain(200, "OK", HTML, "text/html"), ["names no model", "Welcome to nginx", "path of --url"]),
    "404": (plain(404, "Not Found", b"no"), ["names no model", "404 Not Found", "--model NAME"]),
    "not utf-8": (plain(200, "OK", b'{"data": [{"id": "\xff"}]}'), ["names no model"]),
    "another protocol": (Script([Send(0, b"SSH-2.0-OpenSSH\r\n")], close=True), ["SSH-2.0", "not an HTTP"]),
    "hangs up": (Script([], close=True), ["without an answer", "write https://"]),
    "broken framing": (
        Script([Send(0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")], close=True),
        ["zz"],
    ),
    "silent": (Script([], hang_s=20), ["no byte for 0.3 s", "still loading"]),
    "401": (plain(401, "Unauthorized", b"no key"), ["401 Unauthorized", "no key", "OPENAI_API_KEY"]),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_what_answers_is_no_model_server(reply: str, tmp_path: Path) -> None:
    script, words = REPLIES[reply]
    with FaultServer(lambda request: script) as server:
        check_message(run(server.url, tmp_path, "--read-timeout", "300ms"), 6, server.url, *words)
    assert folders(tmp_path) == []


def test_the_key(tmp_path: Path) -> None:
    with start_simulated_server(SimSettings(base_s=0.001, api_key="right-key")) as server:
        check_message(run(server.url, tmp_path), 6, "401", "give the key with --api-key")
        done = run(server.url, tmp_path, "--api-key", "wrong-key")
        check_message(done, 6, "401", "does not accept this key")
        check_succeeded(run(server.url, tmp_path, "--api-key", " right-key\n"), tmp_path)


# --- the warm-up meets a wall: nothing is put under load ------------------------------------------------------

WALLS = {
    "400": (fault(kind="status", status=400), ["400 Bad Request", "--extra-body"]),
    "401": (fault(kind="status", status=401), ["401 Unauthorized", "--api-key"]),
    "404": (("--model", "nope"), ["404 Not Found", "'nope'", "sim-llama-8b", "check --model"]),
    "path": (("--endpoint", "/v2/chat"), ["404 Not Found", "/v2/chat", "--endpoint PATH"]),
    "429": (fault(kind="status", status=429), ["429 Too Many Requests", "lower --max-concurrency"]),
    "500": (fault(kind="status", status=500), ["500 Internal Server Error", "see its log"]),
    "html": (fault(kind="html"), ["text/html", "leads to a web page"]),
    "hang": (
        (*fault(kind="hang"), "--read-timeout", "500ms"),
        ["timeout", "no byte for 0.5 s", "--read-timeout"],
    ),
    "error event": (fault(kind="error_event", after_tokens=0), ["stream_error", "server's log"]),
}


@pytest.mark.parametrize("wall", WALLS)
def test_every_warm_up_request_fails(wall: str, url: str, tmp_path: Path) -> None:
    flags, words = WALLS[wall]
    done = run(url, tmp_path, *flags)
    check_message(done, 6, "all 4 warm-up requests failed", *words)
    record = stored(tmp_path)
    assert f"run  {record.path}" in done.err
    assert len(statuses(record, point=0)) == 4
    assert record.meta.state == "failed"
    assert record.measured == ()


def test_a_redirect(tmp_path: Path) -> None:
    moved = Script(
        [Send(0, b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n")]
    )
    with FaultServer(lambda request: models("m") if request.method == "GET" else moved) as server:
        done = run(server.url, tmp_path)
    check_message(done, 6, "301", "https://elsewhere.invalid/", "write the address")


def test_text_that_is_not_utf_8_fails_the_request_and_not_the_worker(tmp_path: Path) -> None:
    torn = stream([(0.0, b'data: {"choices":[{"delta":{"content":"\xe4\xb8"}}]}\n\n'), *END])
    with FaultServer(answering([GOOD, torn])) as server:
        done = run(server.url, tmp_path)
    assert done.code == 5
    assert statuses(stored(tmp_path)).count("stream_error") == 10


# --- failures in the middle ----------------------------------------------------------------------------------


def test_most_requests_fail(tmp_path: Path) -> None:
    settings = SimSettings(base_s=0.001, fault=Fault(kind="status", status=500, share=0.61), seed=3)
    with start_simulated_server(settings) as server:
        done = run(server.url, tmp_path, "--warmup", "0")
    found = statuses(stored(tmp_path))
    failed = len(found) - found.count("ok")
    assert done.code == 5
    assert failed > 5
    assert done.out.startswith(f"INVALID: failed {failed} of 20 ({failed * 5:.1f} %)")
    assert f"{failed} x http_error: HTTP 500" in done.out


def test_a_point_without_any_answer_ends_the_run(url: str, tmp_path: Path) -> None:
    flags = ("--warmup", "0", *fault(kind="status", status=500))
    done = here("run", "--url", url, "--out", str(tmp_path), "--quiet", "--max-concurrency", "1,2,4",
                "--num-prompts", "20", "--input-len", "8", "--output-len", "8", *flags)  # fmt: skip
    record = stored(tmp_path)
    assert done.code == 5
    assert done.out.startswith("INVALID: failed 20 of 20 (100.0 %)")
    assert "load points left out after it: 2" in " ".join(done.out.split())
    assert [table.point.index for table in record.measured] == [1]
    assert record.meta.state == "failed"


def test_the_same_command_twice_makes_two_folders(url: str, tmp_path: Path) -> None:
    check_succeeded(run(url, tmp_path), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folders(tmp_path)[0].iterdir()}
    check_succeeded(run(url, tmp_path), tmp_path)
    assert len(folders(tmp_path)) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


# --- data files ----------------------------------------------------------------------------------------------

ROW = '{"question": "Why is the sky blue?"}\n'
FILES = {
    "empty": (b"", ["is empty"]),
    "blank": (b"\n \n", ["is empty"]),
    "broken": (ROW.encode() + b'{"question": \n', ["line 2, column"]),
    "field": (ROW.encode() * 2 + b'{"q": 1}\n', ["line 3", "no 'question' or 'prompt'", "fields: q"]),
    "type": (ROW.encode() + b'{"question": 7}\n', ["line 2"]),
    "array": (b"[" + ROW.encode() + b', {"q": 1}]', ["line 2", "no 'question' or 'prompt'"]),
    "short": (ROW.encode() * 3, ["3 usable rows", "20 requests", "--oversample", "--num-prompts 3"]),
    "binary": (bytes(range(128, 256)), ["neither UTF-8 nor"]),
    "gzip": (b"\x1f\x8b\x08\x00nonsense", ["broken gzip"]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_data_file_that_cannot_be_used(name: str, url: str, tmp_path: Path) -> None:
    content, words = FILES[name]
    file = tmp_path / "data.jsonl"
    file.write_bytes(content)
    done = run_questions(url, tmp_path / "runs", file)
    check_message(done, 2, str(file), *words)
    assert not (tmp_path / "runs").exists()


def test_a_chinese_file_in_gb18030_works(url: str, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(
        "".join(f'{{"question": "第{i}个问题：天为什么是蓝的？"}}\n' for i in range(20)).encode("gb18030")
    )
    done = run_questions(url, tmp_path, file, "--keep-text", "--warmup", "0")
    check_succeeded(done, tmp_path)
    (table,) = stored(tmp_path).measured
    assert table.text("prompt")[7] == "第7个问题：天为什么是蓝的？"


# --- flags ---------------------------------------------------------------------------------------------------

FLAGS = {
    "inf for a time": (["--request-rate", "inf", "--duration", "1s"], ["--request-rate inf", "--num-prompts N"]),
    "uneven lists": (["--max-concurrency", "1,2", "--num-prompts", "1,2,3"], ["--pair grid"]),
    "slo without stream": (["--slo", "ttft:200", "--no-stream"], ["--slo 'ttft:200'", "--no-stream"]),
    "unknown slo": (["--slo", "speed:3"], ["'speed:3'"]),
    "insecure http": (["--insecure"], ["--insecure is for https"]),
    "two lengths": (["--output-len", "8", "--max-tokens", "9"], ["--output-len 8", "--max-tokens 9"]),
    "stream in body": (["--extra-body", '{"stream": false}'], ["'stream'", "--no-stream"]),
    "no json": (["--extra-body", "{bad"], ["--extra-body '{bad'", "character 2"]),
    "nothing": (["--num-prompts", "0"], ["--num-prompts", "greater than or equal to 1"]),
    "no file": (["--dataset", "openqa", "--dataset-path", "/none"], ["'/none' does not exist"]),
    "no tokenizer": (["--tokenizer", "/none"], ["/none", "--tokenizer"]),
    "dialect": (["--backend", "opneai-chat"], ["unknown backend 'opneai-chat'"]),
    "header": (["--header", "X: 中文"], ["--header ***", "Latin-1"]),
    "key": (["--api-key", "密钥"], ["--api-key ***", "printable ASCII"]),
    "empty key": (["--api-key", ""], ["--api-key ***", "empty"]),
    "key of two lines": (["--api-key", "a\r\nX-Injected: 1"], ["--api-key ***"]),
    "path": (["--endpoint", "/路径"], ["--endpoint '/路径'", "percent-encode"]),
    "config": (["--config", "/none.yaml"], ["/none.yaml", "--config"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
def test_flags_that_cannot_be_carried_out(name: str, url: str, tmp_path: Path) -> None:
    flags, words = FLAGS[name]
    done = here("run", "--url", url, "--out", str(tmp_path / "runs"), "--quiet", *flags)
    check_message(done, 2, *words)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://[::1", "'http://[::1'"),
        ("http://h:99999", "'http://h:99999'"),
        ("127.0.0.1:8000", "did you mean --url http://127.0.0.1:8000?"),
        ("http://例子.invalid/v1", "not ASCII"),
        ("http://user:pw@h", "--header 'Authorization: Basic"),
    ],
)
def test_addresses_that_are_none(address: str, words: str, tmp_path: Path) -> None:
    check_message(run(address, tmp_path), 2, words)


# --- places to write -----------------------------------------------------------------------------------------


def test_an_out_that_is_a_file(url: str, tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.touch()
    check_message(run(url, out), 2, str(out), "Not a directory", "--out DIR")


def test_a_read_only_out(url: str) -> None:
    out = Path("/sys/inferometer")  # root may write into a directory without write permission, but not here
    if not out.parent.is_dir():
        pytest.skip("no file system here that refuses even root")
    check_message(run(url, out), 2, str(out), "cannot be made", "--out DIR")


def test_reports_of_what_is_no_run(tmp_path: Path) -> None:
    check_message(here("report", "latest", "--out", str(tmp_path)), 2, "no run 'latest'")
    (tmp_path / "run.json").write_text("{")
    check_message(here("report", str(tmp_path)), 2, "run.json", "cannot be read")
    check_message(here("runs", "recover", str(tmp_path)), 2, "run.json", "cannot be read")


def test_the_short_run_is_fine(url: str, tmp_path: Path) -> None:
    """What all the others do wrong, done right: the tests above fail for the reason they name."""
    done = here("run", "--url", url, "--out", str(tmp_path), *SHORT)
    check_succeeded(done, tmp_path)
    assert "error" not in done.err
