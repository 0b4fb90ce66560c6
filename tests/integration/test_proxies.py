"""Measuring through a proxy: tunnels, whole addresses, refusals; the password stays out of everything."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path

import pytest
import trustme
from commands import check_message, check_succeeded, folders, here, run, stored
from eight import EIGHT
from tunnels import small_proxy

from inferometer.client.exchange import Exchange
from inferometer.client.proxy import parse_proxy
from inferometer.client.reactor import Reactor
from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock
from inferometer.testing.fault_server import FaultServer
from inferometer.testing.streams import answering

USER, PASSWORD = "meter", "planted-Vq6w3Ks"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def authority(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    """The file of an authority, and the context of a server that it has signed."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return str(tmp_path / "ca.pem"), context


def test_tls_goes_through_a_tunnel(authority: tuple[str, ssl.SSLContext], tmp_path: Path) -> None:
    ca_file, context = authority
    with FaultServer(answering(EIGHT), tls=context) as server, small_proxy(BASIC) as proxy:
        url = server.url
        address = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
        done = run(server.url, tmp_path / "runs", "--proxy", address, "--ca-file", ca_file)
        assert all(served.request.path.startswith(("/v1/", "/metrics")) for served in server.served)
        assert all("proxy-authorization" not in served.request.headers for served in server.served)
    check_succeeded(done, tmp_path / "runs")
    assert set(proxy.asked) == {f"CONNECT {url.removeprefix('https://')} HTTP/1.1"}
    record = stored(tmp_path / "runs")
    assert record.meta.spec["endpoint"]["proxy"] == f"http://***@127.0.0.1:{proxy.port}"
    (folder,) = folders(tmp_path / "runs")
    everything = "".join(f.read_bytes().decode("latin-1") for f in folder.rglob("*") if f.is_file())
    for secret in (PASSWORD, BASIC.split()[1]):
        assert secret not in everything + done.out + done.err


def test_plain_requests_go_to_the_proxy_with_their_whole_address(tmp_path: Path) -> None:
    with FaultServer(answering(EIGHT)) as server, small_proxy() as proxy:
        url = server.url
        done = run(url, tmp_path, "--proxy", f"127.0.0.1:{proxy.port}")
    check_succeeded(done, tmp_path)
    assert proxy.asked[0] == f"GET {url}/v1/models HTTP/1.1"
    assert f"POST {url}/v1/chat/completions HTTP/1.1" in proxy.asked


@pytest.mark.parametrize(
    ("scheme", "status", "words"),
    [
        ("https", "407 Proxy Authentication Required", ("407", "--proxy http://USER:PASSWORD@HOST:PORT")),
        ("https", "502 Bad Gateway", ("does not connect to", "502 Bad Gateway", "or go without --proxy")),
        ("http", "407 Proxy Authentication Required", ("407", "--proxy http://USER:PASSWORD@HOST:PORT")),
    ],
)
def test_a_refusal_is_told_before_the_load(
    scheme: str, status: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    with small_proxy(refuse=status) as proxy:
        address = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
        done = run(f"{scheme}://127.0.0.1:9", tmp_path, "--proxy", address)
    check_message(done, 6, f"through the proxy 127.0.0.1:{proxy.port}", *words)
    assert PASSWORD not in done.out + done.err


def test_a_refusal_during_the_load_is_a_failure_to_connect() -> None:
    with small_proxy(refuse="503 Service Unavailable") as proxy:
        target = resolve("https://model.invalid", parse_proxy(f"127.0.0.1:{proxy.port}"))
        reactor = Reactor(target, MonotonicClock())
        reactor.send(Exchange(0, target.request_head("GET", "/", 0), 0))
        while not reactor.finished:
            reactor.poll(reactor.clock.now_ns() + 1_000_000_000)
        (failed,) = reactor.finished
        reactor.close()
    assert (failed.failure, failed.failure_text) == (
        "connect_error",
        f"proxy 127.0.0.1:{proxy.port} does not connect to model.invalid:443: HTTP 503 Service Unavailable",
    )


def test_the_time_to_connect_holds_the_tunnel(authority: tuple[str, ssl.SSLContext]) -> None:
    with FaultServer(answering(EIGHT), tls=authority[1]) as server, small_proxy() as proxy:
        plain = resolve(server.url, parse_proxy(f"127.0.0.1:{proxy.port}"))
        target = type(plain)(**{**{f: getattr(plain, f) for f in plain.__struct_fields__}, "insecure": True})
        reactor = Reactor(target, MonotonicClock())
        reactor.send(Exchange(0, target.request_head("GET", "/v1/models", 0), 0))
        while not reactor.finished:
            reactor.poll(reactor.clock.now_ns() + 1_000_000_000)
        (done,) = reactor.finished
        reactor.close()
    assert done.failure is None
    assert (done.connect_start_ns or 0) < (done.connect_end_ns or 0) <= (done.sent_ns or 0)
    assert len(proxy.asked) == 1  # opened, and used, between those two


@pytest.mark.parametrize("asked", [True, False])
def test_a_proxy_of_the_environment(asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken only with --proxy env."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer(answering(EIGHT)) as server, small_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        done = run(server.url, tmp_path, *(("--proxy", "env") if asked else ()))
    check_succeeded(done, tmp_path)
    assert bool(proxy.asked) is asked


@pytest.mark.parametrize("verb", [["run", "--dry-run"], ["config", "show"]])
def test_what_would_be_done_is_shown_without_the_password(verb: list[str]) -> None:
    given = ("--proxy", f"http://{USER}:{PASSWORD}@proxy.example:3128", "--app-code", PASSWORD)
    done = here(*verb, "--url", "http://127.0.0.1:1", *given)
    assert done.code == 0, done
    assert "# proxy: " + json.dumps("http://***@proxy.example:3128") in done.out
    assert PASSWORD not in done.out + done.err


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with small_proxy() as proxy:
        port = proxy.port
    done = run("https://127.0.0.1:9", tmp_path, "--proxy", f"127.0.0.1:{port}")
    check_message(done, 6, f"connect to the proxy 127.0.0.1 port {port}", "is the proxy up")
