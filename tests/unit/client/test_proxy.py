"""Which proxy, what it is told, and what its answers mean."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.client.proxy import Tunnel, parse_proxy, proxy_in
from inferometer.client.target import Target, resolve
from inferometer.errors import UsageError

PLAIN = parse_proxy("http://127.0.0.1:3128")
WITH_USER = parse_proxy("http://me:p%40ss-word@127.0.0.1:3128")


def test_user_and_password_become_a_header_and_stay_secret() -> None:
    assert WITH_USER.name == "127.0.0.1:3128"
    assert WITH_USER.authorization == "Basic bWU6cEBzcy13b3Jk"  # me:p@ss-word
    assert WITH_USER.secrets() == ["Basic bWU6cEBzcy13b3Jk", "p@ss-word"]
    assert PLAIN.secrets() == []


def test_a_proxy_without_a_port_is_at_8080() -> None:
    assert parse_proxy("127.0.0.1").name == "127.0.0.1:8080"


@pytest.mark.parametrize(
    "text", ["socks5://me:hidden@h:1", "https://me:hidden@h", "http://me:hidden@", "me:hidden@h:x"]
)
def test_what_is_no_http_proxy_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_proxy(text)
    assert "hidden" not in str(caught.value)
    assert "--proxy" in str(caught.value)


def test_plain_requests_name_the_whole_address_and_tls_ones_do_not() -> None:
    head = resolve("http://model.invalid/base", WITH_USER).request_head("GET", "/v1/models", 0).decode()
    assert head.startswith("GET http://model.invalid/base/v1/models HTTP/1.1\r\nHost: model.invalid\r\n")
    assert "Proxy-Authorization: Basic bWU6cEBzcy13b3Jk\r\n" in head
    inside = resolve("https://model.invalid", WITH_USER).request_head("GET", "/v1/models", 0).decode()
    assert inside.startswith("GET /v1/models HTTP/1.1\r\n")
    assert "Proxy-Authorization" not in inside


def test_the_proxy_looks_the_name_up() -> None:
    assert resolve("http://no.such.host.invalid", PLAIN).addresses == PLAIN.addresses


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://h.invalid", "h.invalid:443"),
        ("https://h.invalid:8443/x", "h.invalid:8443"),
        ("https://[::1]", "[::1]:443"),
    ],
)
def test_a_tunnel_names_host_and_port(url: str, authority: str) -> None:
    tunnel = Tunnel(WITH_USER, resolve(url, WITH_USER).authority)
    assert tunnel.request.decode() == (
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: inferometer\r\n"
        "Proxy-Authorization: Basic bWU6cEBzcy13b3Jk\r\n\r\n"
    )


def test_a_tunnel_opens_once_the_whole_answer_is_there() -> None:
    tunnel = Tunnel(PLAIN, "h:443")
    tunnel.receive(b"HTTP/1.1 200 Connection esta")
    assert (tunnel.opened, tunnel.refusal) == (False, None)
    tunnel.receive(b"blished\r\nVia: x\r\n\r\n")
    assert (tunnel.opened, tunnel.refusal) == (True, None)


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
         "proxy 127.0.0.1:3128 does not connect to h:443: HTTP 407 Proxy Authentication Required"),
        (b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
         "proxy 127.0.0.1:3128 does not connect to h:443: HTTP 502 Bad Gateway"),
        (b"SSH-2.0-x\r\n\r\n", "proxy 127.0.0.1:3128 does not speak HTTP: is it a proxy?"),
        (b"x" * 70000, "proxy 127.0.0.1:3128 does not speak HTTP: is it a proxy?"),
        (b"HTTP/1.1 200 OK\r\n\r\ntoo soon", "proxy 127.0.0.1:3128 does not speak HTTP: is it a proxy?"),
        (b"", "proxy 127.0.0.1:3128 closed the connection before it answered CONNECT h:443"),
    ],
)  # fmt: skip
def test_a_refusal_says_who_and_why(answer: bytes, refusal: str) -> None:
    tunnel = Tunnel(PLAIN, "h:443")
    tunnel.receive(answer)
    assert (tunnel.opened, tunnel.refusal) == (False, refusal)


VARIABLES = {
    "https_proxy": "http://a:1",
    "HTTP_PROXY": "http://b:2",
    "NO_PROXY": "inside.example, .corp,10.0.0.0/8 ::1",
}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.example", ("https_proxy", "http://a:1")),
        ("http://api.example", ("HTTP_PROXY", "http://b:2")),
        ("http://inside.example", None),
        ("http://deep.inside.example:8000", None),
        ("http://besideinside.example", ("HTTP_PROXY", "http://b:2")),
        ("https://x.corp", None),
        ("http://10.1.2.3:8000", None),
        ("http://11.1.2.3:8000", ("HTTP_PROXY", "http://b:2")),
        ("http://[::1]:8000", None),
    ],
)
def test_the_environment_names_a_proxy_but_for_some_hosts(url: str, found: tuple[str, str] | None) -> None:
    assert proxy_in(VARIABLES, url) == found


def test_a_star_is_no_proxy_at_all_and_all_proxy_is_for_the_rest() -> None:
    assert proxy_in({**VARIABLES, "NO_PROXY": "*"}, "https://api.example") is None
    assert proxy_in({"ALL_PROXY": "http://c:3"}, "https://api.example") == ("ALL_PROXY", "http://c:3")
    assert proxy_in({}, "https://api.example") is None


def test_a_target_with_proxy_and_others_travels_to_a_worker() -> None:
    first, second = resolve("https://h.invalid", WITH_USER), resolve("http://127.0.0.1:1")
    target = msgspec.structs.replace(first, others=[second])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(target), type=Target) == target
    assert target.servers == (target, second)
    assert "p@ss-word" in target.secrets()


def test_a_proxy_whose_host_was_forgotten_shows_no_password() -> None:
    with pytest.raises(UsageError, match=r"http://me:\*\*\*: it is no address"):
        parse_proxy("http://me:planted")
