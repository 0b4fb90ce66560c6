"""A planted secret reaches no file of the run, no output, and no list of processes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
from commands import Command, folders, here, stored

from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import delta, models, plain, sse, stream, usage

KEY, COOKIE, QUERY = "planted-Zk3v9QpL-key", "planted-Wm8t2RsX", "planted-Hn5c7YbD"
APP_CODE = "planted-Jd6f4GwT"
SECRETS = (KEY, COOKIE, QUERY, APP_CODE, "Zk3v9QpL", "Wm8t2RsX", "Hn5c7YbD", "Jd6f4GwT")


def echoing(kind: str, said: str) -> Script:
    """An answer that repeats the request's credentials, in one of the places where a server can say something."""
    if kind == "body":
        return plain(400, "Bad Request", json.dumps({"error": {"message": f"bad key {said}"}}).encode())
    if kind == "reason":
        return plain(500, f"Oh no {said}", b"")
    if kind == "page":
        return plain(200, "OK", f"<html>{said}</html>".encode(), "text/html")
    if kind == "event":
        return stream([(0.0, sse(delta("a"))), (0.0, sse({"error": {"message": said}}))])
    if kind == "broken event":
        return stream([(0.0, sse("x" * 100 + said))])
    if kind == "redirect":
        return plain(307, f"Moved\r\nLocation: https://other.invalid/?key={said.split()[-1]}", b"")
    return stream([(0.0, sse(delta("a", finish="stop"))), (0.0, sse(usage(8, 1))), (0.0, sse("[DONE]"))])


KINDS = ("good", "body", "reason", "page", "event", "broken event", "redirect")


def everything(folder: Path) -> str:
    """All bytes of the run folder, and the tables decompressed."""
    files = "".join(file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file())
    tables = [
        str(list(column)) for table in stored(folder.parent).tables for column in table.requests.values()
    ]
    return files + folder.name + "".join(tables)


def test_credentials_leave_no_trace(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    commands: list[Command] = []

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        children = psutil.Process(commands[0].process.pid).children(recursive=True)
        seen.extend(child.cmdline() for child in children)
        said = f"{request.headers['authorization']} {request.headers['cookie']} {request.path} {QUERY}"
        said = f"{request.headers['x-apig-appcode']} {said}"
        return echoing(KINDS[request.number % len(KINDS)], said)

    with FaultServer(script) as server:
        argv = ["run", "--url", f"{server.url}/v1/chat/completions?key={QUERY}", "--out", str(tmp_path / "runs"),
                "--max-concurrency", "2", "--num-prompts", "42", "--input-len", "8", "--output-len", "1", "--json",
                "--warmup", "0", "--header", f"Cookie: theme=dark; session={COOKIE}"]  # fmt: skip
        with Command(tmp_path, argv, {"OPENAI_API_KEY": KEY, "INFEROMETER_APP_CODE": APP_CODE}) as command:
            commands.append(command)
            done = command.finish()
        assert server.served[1].request.headers["authorization"] == f"Bearer {KEY}"
        assert QUERY in server.served[-1].request.path
    assert done.code == 5
    (folder,) = folders(tmp_path / "runs")
    assert json.loads((folder / "run.json").read_text())["spec"]["endpoint"]["api_key"] == "***"
    text = everything(folder)
    assert "***" in text
    assert "bad key" in text
    workers = [line for line in map(" ".join, seen) if "inferometer.loadgen.worker" in line]
    assert workers
    for place in (text, done.out, done.err, *workers):
        assert [secret for secret in SECRETS if secret in place] == []


@pytest.mark.parametrize("status", [401, 404, 200])
def test_the_first_answer_repeats_the_key(status: int, tmp_path: Path) -> None:
    def script(request: Incoming) -> Script:
        said = request.headers["authorization"]
        return plain(status, f"Not {said}", f"who is {said}?".encode())

    with FaultServer(script) as server:
        done = here("run", "--url", server.url, "--api-key", KEY, "--out", str(tmp_path), "--json", "-q")
    assert done.code == 6
    assert "who is ***" in done.err
    assert "Zk3v9QpL" not in done.out + done.err


@pytest.mark.parametrize("verb", [["run", "--dry-run"], ["config", "show"]])
def test_what_would_be_done_is_shown_without_them(verb: list[str]) -> None:
    url = f"http://127.0.0.1:1/v1/chat/completions?key={QUERY}"
    done = here(*verb, "--url", url, "--api-key", KEY, "--header", f"Cookie: s={COOKIE}")
    assert done.code == 0
    assert [secret for secret in SECRETS if secret in done.out + done.err] == []


def test_a_key_in_a_template_leaves_no_trace(tmp_path: Path) -> None:
    def script(request: Incoming) -> Script:
        said = f"who is {request.headers['x-api-key']}?"
        return plain(404 if request.method == "GET" else 200, "OK", json.dumps({"problem": said}).encode())

    body = "'{\"q\": {{ prompt | tojson }}}'"
    file = tmp_path / "api.yaml"
    file.write_text(f"path: /ask\nheaders: {{X-Api-Key: {KEY}}}\nbody: {body}\ntext: say\nerror: problem\n")
    with FaultServer(script) as server:
        words = ("--backend", "template", "--template", str(file), "--num-prompts", "4", "--warmup", "0")
        done = here(
            "run", "--url", server.url, "--out", str(tmp_path / "runs"), "--max-concurrency", "1", *words
        )
    (folder,) = folders(tmp_path / "runs")
    text = everything(folder)
    assert "who is ***" in text
    assert [secret for secret in SECRETS if secret in text + done.out + done.err] == []


def test_a_key_in_a_file_leaves_no_trace(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o640)

    def script(request: Incoming) -> Script:
        if request.method == "GET":
            return models("test")
        return plain(401, "No", f"who is {request.headers['authorization']}?".encode())

    with FaultServer(script) as server:
        done = here(
            "run", "--url", server.url, "--api-key-file", str(key), "--out", str(tmp_path / "runs"), "-q"
        )
    assert done.code == 6
    assert "who is ***" in done.err
    (folder,) = folders(tmp_path / "runs")
    text = everything(folder)
    assert "other users of this machine may read the key" in text
    assert [secret for secret in SECRETS if secret in text + done.out + done.err] == []
