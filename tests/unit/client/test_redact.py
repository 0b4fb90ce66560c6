"""No secret in any text that is kept."""

from __future__ import annotations

import pytest

from inferometer.client.redact import error_text, redact


@pytest.mark.parametrize(
    "text",
    [
        "bad key S3CR3TVALUE",
        "Authorization: Bearer S3CR3TVALUE",
        '{"api_key": "S3CR3TVALUE"}',
        "token=S3CR3TVALUE",
    ],
)
def test_a_planted_secret_is_gone(text: str) -> None:
    assert "S3CR3TVALUE" not in redact(text, ["Bearer S3CR3TVALUE"])


@pytest.mark.parametrize("text", ["sk-abcdefgh12345678", "Bearer abcdef123456", "hf_abcdefgh12345"])
def test_what_looks_like_a_credential_is_gone(text: str) -> None:
    assert "12345" not in redact(f"refused: {text}")


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("Basic dXNlcjpwYXNz", "bad login dXNlcjpwYXNz"),
        ("theme=dark; session=c00k1eV4lue", "no session c00k1eV4lue"),
        ("S3CR3TVALUE", "no such path: /v1/x?api-version=2&key=S3CR3TVALUE"),
        ("", "no such path: /v1/x?key=dXNlcjpwYXNz"),
        ("", "no route to http://dXNlcjpwYXNz@h:1/x"),
    ],
)
def test_a_part_of_a_secret_is_gone_too(secret: str, said: str) -> None:
    told = redact(said, [secret] if secret else [])
    assert "***" in told
    assert not any(part in told for part in ("dXNlcjpwYXNz", "c00k1eV4lue", "S3CR3TVALUE"))


def test_ordinary_words_stay() -> None:
    text = "max_tokens is too large: 4096 tokens asked, 2048 allowed"
    assert redact(text) == text


def test_error_text_is_one_bounded_line_and_a_secret_at_the_cut_is_gone_too() -> None:
    text = error_text("x" * 395 + "\nS3CR3TVALUE", ["S3CR3TVALUE"])
    assert "\n" not in text
    assert "S3C" not in text
    assert len(text) <= 400
