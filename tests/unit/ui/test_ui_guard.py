"""Who is answered, who comes in, and what may change something."""

from __future__ import annotations

from pathlib import Path

import pytest
from ui_runs import client, house, sign, store_run

from inferometer.errors import UsageError
from inferometer.ui.guard import MOST_BYTES, is_ours, our_names
from inferometer.ui.house import Settings
from inferometer.ui.serve import address, checked, listening

TOKEN = "a token of some length"
LABELS = "/runs/a/labels"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "192.168.1.7:80"]
)
def test_numbers_and_our_own_names_are_answered(host: str) -> None:
    assert is_ours(host, our_names("127.0.0.1"))


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1.evil.example", "", "localhost.evil.example:8765"]
)
def test_a_name_that_was_resolved_to_us_is_not(tmp_path: Path, host: str) -> None:
    assert not is_ours(host, our_names("127.0.0.1"))
    answer = client(house(tmp_path)).get("/", headers={"host": host})
    assert answer.status_code == 421


def test_without_the_token_nothing_is_shown(tmp_path: Path) -> None:
    store_run(tmp_path, "secret-run")
    pages = client(house(tmp_path, token=TOKEN))
    for path in ("/", "/runs/secret-run", "/api/runs", "/metrics", "/new", "/?token=wrong", "/none"):
        answer = pages.get(path)
        assert answer.status_code == 401
        assert "secret-run" not in answer.text
    assert pages.get("/api/runs", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_the_token_becomes_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    pages = client(house(tmp_path, token=TOKEN))
    answer = pages.get("/", params={"token": TOKEN, "text": "a b"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?text=a+b"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert pages.get("/").status_code == 200


def test_from_a_link_on_another_site_the_token_leads_on_without_a_redirect(tmp_path: Path) -> None:
    pages = client(house(tmp_path, token=TOKEN))
    answer = pages.get(
        "http://127.0.0.1:8765//evil.example/",
        params={"token": TOKEN},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert answer.status_code == 200
    assert answer.headers["refresh"] == "0; url=/evil.example/"


def test_a_program_brings_the_token_in_a_header_and_changes_nothing(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path, token=TOKEN)
    pages, bearer = client(of), {"authorization": f"Bearer {TOKEN}"}
    assert pages.get("/api/runs", headers=bearer).json()["found"] == 1
    assert pages.post(LABELS, headers=bearer, data={"sign": of.sessions.sign("")}).status_code == 401


def test_a_form_of_ours_changes_something(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    pages = client(of)
    fields = {"sign": sign(pages, of), "label": " x ", "labels": "k=v\n", "note": "n"}
    answer = pages.post(LABELS, data=fields, headers={"origin": "http://127.0.0.1:8765"})
    assert answer.headers["location"] == "/runs/a"
    assert of.deeds.asked == [("relabel", "a", "x", {"k": "v", "note": "n"})]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this host
        ({"content-type": "text/plain"}, 415),
        ({"content-length": str(MOST_BYTES + 1)}, 413),
    ],
)
def test_what_another_site_sends_changes_nothing(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    pages = client(of)
    answer = pages.post(LABELS, data={"sign": sign(pages, of)}, headers=headers)
    assert (answer.status_code, of.deeds.asked) == (status, [])  # type: ignore[attr-defined]


def test_a_form_without_the_sign_of_its_session_changes_nothing(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    pages, other = client(of), client(of)
    foreign = sign(other, of)
    sign(pages, of)
    for fields in ({"label": "x"}, {"sign": ""}, {"sign": "0" * 64}, {"sign": foreign}):
        assert pages.post(LABELS, data=fields).status_code == 403
    pages.cookies.clear()
    assert pages.post(LABELS, data={"sign": foreign}).status_code == 403
    assert of.deeds.asked == []  # type: ignore[attr-defined]


def test_a_form_without_a_stated_length_is_cut_off_as_well(tmp_path: Path) -> None:
    of = house(tmp_path)
    pages = client(of)
    sign(pages, of)
    parts = (b"a=" + b"x" * 1000 for _ in range(MOST_BYTES // 1000 + 1))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert pages.post("/new", content=parts, headers=headers).status_code == 413


@pytest.mark.parametrize("path", [LABELS, "/new", "/started/stop"])
def test_read_only_pages_refuse_every_change_and_offer_none(tmp_path: Path, path: str) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path, read_only=True)
    pages = client(of)
    assert pages.post(path, data={"sign": sign(pages, of)}).status_code == 403
    assert '<form method="post"' not in pages.get("/").text + pages.get("/runs/a").text


def test_get_changes_nothing_and_other_methods_are_not_answered(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    pages = client(of)
    assert pages.get(LABELS).status_code == 405
    assert pages.get("/started/stop").status_code == 405
    assert pages.delete("/runs/a").status_code == 405
    assert of.deeds.asked == []  # type: ignore[attr-defined]


def test_browsers_are_told_to_run_nothing_else(tmp_path: Path) -> None:
    headers = client(house(tmp_path)).get("/").headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_other_machines_need_a_token_which_is_made_where_none_is_given(tmp_path: Path) -> None:
    plain = Settings(tmp_path, "127.0.0.1", 1, None, read_only=False)
    assert checked(plain).token is None
    made = checked(plain._replace(host="0.0.0.0"))
    assert made.token is not None
    assert len(made.token) >= 24
    assert address(made._replace(host="10.0.0.1")) == f"http://10.0.0.1:1/?token={made.token}"
    with pytest.raises(UsageError, match="12 or more"):
        checked(plain._replace(token="short"))
    with pytest.raises(UsageError, match="between 0 and 65535"):
        checked(plain._replace(port=70000))


def test_what_cannot_be_listened_at_is_said_so() -> None:
    with listening("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="already in use") as told:
        listening("127.0.0.1", taken.getsockname()[1])
    assert "--port 0" in told.value.next_step
    with pytest.raises(UsageError, match=r"--host 'a\.\.b'") as told:
        listening("a..b", 0)
    assert "address of this machine" in told.value.next_step
    with pytest.raises(UsageError, match=r"cannot listen at 192\.0\.2\.1:0") as told:
        listening("192.0.2.1", 0)  # TEST-NET-1: of no machine
    assert "address of this machine" in told.value.next_step


def test_runs_lie_in_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match="no directory"):
        checked(Settings(file, "127.0.0.1", 1, None, read_only=False))


def test_many_visitors_do_not_end_the_session_of_a_form(tmp_path: Path) -> None:
    store_run(tmp_path, "a")
    of = house(tmp_path)
    pages = client(of)
    fields = {"sign": sign(pages, of)}
    for _ in range(1500):  # Prometheus asks for /metrics, and keeps no cookie
        of.sessions.begin()
    assert pages.post(LABELS, data=fields).status_code == 303


def test_cookies_of_other_servers_of_this_host_do_not_hide_ours(tmp_path: Path) -> None:
    of = house(tmp_path)
    session, name = of.sessions.begin(), of.sessions.cookie
    for strange in (
        'prefs={"a": "b, c"}',
        "a b c",
        "=",
        f"{name}=forged.{'0' * 64}",
        f"{name}=",
        f"{name}=é.é",
    ):
        assert of.sessions.of_cookie(strange) is None
        assert of.sessions.of_cookie(f"{strange}; {name}={session}") == session
    assert of.sessions.of_cookie(f"{name}={session[:-1]}") is None
    assert house(tmp_path).sessions.of_cookie(f"{name}={session}") is None  # of a server that has ended


@pytest.mark.parametrize("body", ["sign=%C3%A9", "sign=%00", "a=1&" * 1100])
def test_strange_forms_are_refused_in_words(tmp_path: Path, body: str) -> None:
    of = house(tmp_path)
    pages = client(of)
    sign(pages, of)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert pages.post("/started/stop", content=body, headers=headers).status_code in (400, 403)


def test_an_address_of_too_many_fields_is_refused_in_words(tmp_path: Path) -> None:
    assert client(house(tmp_path)).get("/?" + "a=1&" * 1100).status_code == 400


def test_the_way_in_keeps_to_this_server_whatever_the_address_holds(tmp_path: Path) -> None:
    pages = client(house(tmp_path, token=TOKEN))
    for path, onward in (
        ("/%09/evil.example", "/%09/evil.example"),
        ("/a%0d%0ab", "/a%0D%0Ab"),
        ("/é", "/%C3%A9"),
    ):
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        answer = pages.get(f"http://127.0.0.1:8765{path}", params={"token": TOKEN}, headers=headers)
        assert answer.headers["refresh"] == f"0; url={onward}"


@pytest.mark.parametrize(("mode", "status"), [("no-cors", 403), ("cors", 403), ("navigate", 200)])
def test_another_site_may_lead_here_and_hold_no_part_of_us(tmp_path: Path, mode: str, status: int) -> None:
    pages = client(house(tmp_path))
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
        assert pages.get("/", headers=headers).status_code == status
