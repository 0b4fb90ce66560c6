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


def test_a_port_that_is_taken_is_said_so() -> None:
    with listening("127.0.0.1", 0) as taken, pytest.raises(UsageError, match="cannot listen at"):
        listening("127.0.0.1", taken.getsockname()[1])
