"""From the endpoint of a spec to a target: headers, keys in files, proxies that were not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.client.endpoint import read_key, target_of
from inferometer.errors import UsageError
from inferometer.spec import Endpoint

URL = "http://192.0.2.1:8000"


def test_every_credential_becomes_a_header_and_a_secret(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("  sesame-open \nnot this\n")
    key.chmod(0o600)
    endpoint = Endpoint(url=URL, api_key_file=str(key), app_code="code-1234", header=("X-Tenant: seven",))
    found = target_of(endpoint, {})
    assert found.notes == ()
    assert found.target.headers == [
        ("X-Tenant", "seven"),
        ("Authorization", "Bearer sesame-open"),
        ("X-Apig-AppCode", "code-1234"),
    ]
    assert found.target.secrets() == ["seven", "Bearer sesame-open", "code-1234"]


def test_a_key_that_others_may_read_is_noted(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sesame-open\n")
    key.chmod(0o644)
    notes: list[str] = []
    assert read_key(key, notes) == "sesame-open"
    assert notes == [
        f"other users of this machine may read the key in {key} (mode 644); make it yours alone: chmod 600 {key}"
    ]


@pytest.mark.parametrize("content", [b"", b"\nsesame\n", b"two words\n", b"\xff\xfe"])
def test_a_file_without_a_key_is_refused_and_not_repeated(content: bytes, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(content)
    with pytest.raises(UsageError, match="its first line is no key") as caught:
        read_key(key, [])
    assert "words" not in str(caught.value)


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_key(tmp_path, [])


def test_a_proxy_of_the_environment_is_named_and_not_taken() -> None:
    found = target_of(Endpoint(url=URL), {"HTTP_PROXY": "http://me:hidden@127.0.0.1:3128"})
    assert found.target.proxy is None
    (note,) = found.notes
    assert note.startswith("HTTP_PROXY is set, and requests go to the server directly")
    assert "hidden" not in note


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_nobody_means_a_proxy_for_this_machine(url: str) -> None:
    assert target_of(Endpoint(url=url), {"HTTP_PROXY": "http://127.0.0.1:3128"}).notes == ()


def test_a_proxy_of_the_environment_is_taken_when_asked_for() -> None:
    found = target_of(Endpoint(url=URL, proxy="env"), {"http_proxy": "http://127.0.0.1:3128"})
    assert found.target.proxy is not None
    assert found.target.proxy.name == "127.0.0.1:3128"
    assert found.notes == ()


def test_an_environment_without_a_proxy_is_noted() -> None:
    found = target_of(Endpoint(url=URL, proxy="env"), {})
    assert found.target.proxy is None
    assert found.notes == (
        "--proxy env: the environment names no proxy for 192.0.2.1, which is reached directly",
    )


def test_a_bad_proxy_of_the_environment_is_named_by_its_variable() -> None:
    with pytest.raises(
        UsageError, match=r"https?_proxy \(--proxy env\) socks5://\*\*\*@h:1: only http:// proxies"
    ):
        target_of(Endpoint(url=URL, proxy="env"), {"http_proxy": "socks5://me:hidden@h:1"})


def test_several_servers_share_the_credentials() -> None:
    endpoint = Endpoint(url=URL, more_url=("http://192.0.2.2:8000/v1", "https://192.0.2.3"), api_key="sesame")
    target = target_of(endpoint, {}).target
    assert [one.host_header for one in target.servers] == ["192.0.2.1:8000", "192.0.2.2:8000", "192.0.2.3"]
    assert [one.tls for one in target.servers] == [False, False, True]
    assert {one.headers[0] for one in target.servers} == {("Authorization", "Bearer sesame")}


def test_a_header_replaces_ours() -> None:
    target = target_of(
        Endpoint(url=URL, header=("Host: service", "content-type: application/json; v=1")), {}
    ).target
    head = target.request_head("POST", "/x", 2).decode().lower()
    assert head.count("host: ") == head.count("content-type: ") == 1
    assert "host: service\r\n" in head
    assert "content-length: 2\r\n" in head
