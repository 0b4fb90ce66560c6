"""The truth server over real sockets: what it says, and that its log is the truth about when."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import trustme

from inferometer.errors import EndpointError
from inferometer.interpreter import own_program
from inferometer.testing.truth_server import (
    TruthServer,
    TruthSettings,
    decode_log,
    start_truth_server,
)

QUICK = TruthSettings(ttft_s=0.01, itl_s=0.002)
LIMIT_S = 30


def connect(server: TruthServer, **options: Any) -> http.client.HTTPConnection:
    parts = urlsplit(server.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(str(parts.hostname), parts.port, timeout=LIMIT_S, **options)


def ask(connection: http.client.HTTPConnection, tokens: int, **fields: Any) -> bytes:
    """One generation request; the body of its answer."""
    request = {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": tokens,
        "stream": True,
        **fields,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(request))
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def identity(body: bytes) -> str:
    return str(json.loads(body.removeprefix(b"data: ").partition(b"\n")[0])["id"])


def contents(body: bytes) -> int:
    return body.count(b'"content":" the"')


def test_the_log_is_complete_and_its_due_times_are_exact() -> None:
    with start_truth_server(QUICK) as server, contextlib.closing(connect(server)) as connection:
        before_ns = time.monotonic_ns()
        body = ask(connection, 20, stream_options={"include_usage": True})
        after_ns = time.monotonic_ns()
        log = server.log()
    assert contents(body) == 20
    assert body.endswith(b"data: [DONE]\n\n")
    truth = log.pop(identity(body))
    assert log == {}
    assert before_ns < truth.received_ns < after_ns
    assert (truth.due_ns == truth.received_ns + 10_000_000 + 2_000_000 * np.arange(20)).all()
    assert len(truth.sent_ns) == 20
    assert (truth.sent_ns >= truth.due_ns).all()
    assert (np.diff(truth.sent_ns) > 0).all()
    assert truth.sent_ns[-1] < after_ns


def test_nothing_arrives_before_the_log_says_that_it_left() -> None:
    with start_truth_server(TruthSettings(ttft_s=0.02, itl_s=0.02)) as server:
        parts = urlsplit(server.url)
        with socket.create_connection((str(parts.hostname), parts.port), timeout=LIMIT_S) as sock:
            body = b'{"max_tokens":4,"stream":true}'
            head = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            sock.sendall(head + body)
            whole = b""
            seen_ns = []
            while not whole.endswith(b"0\r\n\r\n"):
                whole += sock.recv(65536)
                seen_ns.append((whole.count(b'"text":" the"'), time.monotonic_ns()))
        (truth,) = server.log().values()
    assert seen_ns[-1][0] == 4
    for count, at_ns in seen_ns:
        assert (truth.sent_ns[:count] < at_ns).all()


def test_many_streams_on_kept_connections_and_a_pipelined_request() -> None:
    with start_truth_server(QUICK) as server:

        def three(_: int) -> list[bytes]:
            with contextlib.closing(connect(server)) as connection:
                return [ask(connection, n) for n in (1, 2, 30)]

        with ThreadPoolExecutor(20) as pool:
            answers = [body for bodies in pool.map(three, range(20)) for body in bodies]
        parts = urlsplit(server.url)
        with socket.create_connection((str(parts.hostname), parts.port), timeout=LIMIT_S) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\n\r\nGET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n")
            said = b""
            while part := sock.recv(65536):
                said += part
        log = server.log()
        server.forget()
        assert server.log() == {}
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert b'"id":"truth"' in said
    assert {identity(body): contents(body) for body in answers} == {i: len(t.sent_ns) for i, t in log.items()}
    assert len(log) == 60
    assert all((truth.sent_ns >= truth.due_ns).all() for truth in log.values())


def test_a_whole_answer_comes_when_its_last_token_is_due() -> None:
    with start_truth_server(QUICK) as server, contextlib.closing(connect(server)) as connection:
        body = ask(connection, 10, stream=False)
        (truth,) = server.log().values()
    assert json.loads(body)["usage"]["completion_tokens"] == 10
    assert len(truth.sent_ns) == 1
    assert truth.sent_ns[0] >= truth.received_ns + 10_000_000 + 9 * 2_000_000


def test_a_large_body_and_a_client_that_reads_slowly() -> None:
    with start_truth_server(TruthSettings(ttft_s=0.0, flood=True)) as server:
        with contextlib.closing(connect(server)) as connection:
            text = "x" * (64 << 20)
            assert contents(ask(connection, 3, messages=[{"role": "user", "content": text}])) == 3
            connection.request("POST", "/v1/chat/completions", b'{"max_tokens":100000,"stream":true}')
            answer = connection.getresponse()
            parts = list(iter(lambda: answer.read(1 << 16), b""))  # 23 MB: the socket is full again and again
        lengths = sorted(len(truth.sent_ns) for truth in server.log().values())
    assert contents(b"".join(parts)) == 100_000
    assert lengths == [3, 100_000]


def test_a_paced_stream_goes_on_after_a_full_socket() -> None:
    settings = TruthSettings(ttft_s=0.0, itl_s=1e-6)
    with start_truth_server(settings) as server:
        parts = urlsplit(server.url)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((str(parts.hostname), parts.port))
            body = b'{"max_tokens":60000,"stream":true}'
            sock.sendall(b"POST /v1/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            whole = bytearray()
            while not whole.endswith(b"0\r\n\r\n"):
                whole += sock.recv(1 << 16)
        (truth,) = server.log().values()
    assert whole.count(b'"text":" the"') == 60_000
    assert len(truth.sent_ns) == 60_000
    assert (np.diff(truth.sent_ns) >= 0).all()


def test_what_it_refuses() -> None:
    with start_truth_server(QUICK) as server, contextlib.closing(connect(server)) as connection:
        for method, path, body, status in (
            ("GET", "/nothing", None, 404),
            ("POST", "/v1/completions", "no JSON", 400),
            ("GET", "/v1/models", None, 200),
        ):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status


def test_several_processes_share_the_port_and_end_together() -> None:
    with start_truth_server(TruthSettings(ttft_s=0.01, itl_s=0.001, processes=2)) as server:
        bodies = []
        for _ in range(40):  # the kernel spreads connections over the listeners by a hash of the ports
            with contextlib.closing(connect(server)) as connection:
                bodies.append(ask(connection, 2))
        log = server.log()
        assert len(set(server.pids)) == 2
    assert {identity(body) for body in bodies} == set(log)
    assert {name.split("-")[1] for name in log} == {"0", "1"}
    assert not any(map(psutil.pid_exists, server.pids))


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    both = str(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    settings = TruthSettings(ttft_s=0.01, itl_s=0.001, certificate=both, key=both)
    with start_truth_server(settings) as server:
        with contextlib.closing(connect(server, context=context)) as connection:
            bodies = [ask(connection, n) for n in (1, 50)]
        log = server.log()
    assert [contents(body) for body in bodies] == [1, 50]
    assert [len(log[identity(body)].sent_ns) for body in bodies] == [1, 50]


def test_no_log() -> None:
    with start_truth_server(TruthSettings(ttft_s=0.0, itl_s=0.001, log=False)) as server:
        with contextlib.closing(connect(server)) as connection:
            assert contents(ask(connection, 5)) == 5
        assert server.log() == {}


@pytest.mark.parametrize("end", ["stdin", "sigterm"])
def test_it_ends_with_its_standard_input_and_leaves_its_log(end: str, tmp_path: Path) -> None:
    program = own_program("inferometer.testing.truth_server", "--ttft-ms", "1", "--log", str(tmp_path))
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening ").strip()
        with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
            assert contents(ask(connection, 2)) == 2
        if end == "stdin":
            process.stdin.close()
        else:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    (record,) = decode_log((tmp_path / "truth-0.msgpack").read_bytes())
    assert len(record.sent) == 2 * 8


def test_each_process_leaves_its_log_when_standard_input_ends(tmp_path: Path) -> None:
    program = own_program(
        "inferometer.testing.truth_server",
        "--flood",
        "--ttft-ms",
        "0",
        "--processes",
        "2",
        "--log",
        str(tmp_path),
    )
    tokens = 300_000  # so that the second process still writes when the first one ends it
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        second = urlsplit(lines[2].split()[2])
        with contextlib.closing(http.client.HTTPConnection(second.netloc)) as connection:
            assert ask(connection, tokens).endswith(b"[DONE]\n\n")
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0
    logs = [decode_log((tmp_path / f"truth-{n}.msgpack").read_bytes()) for n in (0, 1)]
    assert [[len(record.sent) // 8 for record in log] for log in logs] == [[], [tokens]]


def test_it_serves_without_a_standard_input() -> None:
    program = own_program("inferometer.testing.truth_server", "--ttft-ms", "1", "--itl-ms", "1")
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening ").strip()
        try:
            for tokens in (2, 3):
                with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
                    assert contents(ask(connection, tokens)) == tokens
        finally:
            process.terminate()
        assert process.wait(LIMIT_S) == 0


def test_a_whole_answer_is_due_when_its_last_token_is() -> None:
    with start_truth_server(QUICK) as server:
        with contextlib.closing(connect(server)) as connection:
            body = ask(connection, 20, stream=False)
        truth = server.log()[json.loads(body)["id"]]
    assert truth.due_ns.tolist() == [truth.received_ns + 10_000_000 + 19 * 2_000_000]
    assert truth.sent_ns[0] >= truth.due_ns[0]


def test_a_client_that_resets_before_it_is_asked_for_the_body_ends_nothing() -> None:
    with start_truth_server(QUICK) as server:
        parts = urlsplit(server.url)
        head = b"POST /v1/completions HTTP/1.1\r\ncontent-length: 99\r\nexpect: 100-continue\r\n\r\n"
        (pid,) = server.pids
        os.kill(pid, signal.SIGSTOP)  # so that head and reset are both there when it looks
        try:
            sock = socket.create_connection((str(parts.hostname), parts.port), timeout=LIMIT_S)
            sock.sendall(head)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        finally:
            os.kill(pid, signal.SIGCONT)
        with contextlib.closing(connect(server)) as connection:
            assert contents(ask(connection, 2)) == 2


def test_a_port_that_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    with start_truth_server(QUICK) as server, pytest.raises(EndpointError, match="did not start"):
        start_truth_server(QUICK, port=int(server.url.rpartition(":")[2]))
    assert "Address already in use" in capfd.readouterr().err
