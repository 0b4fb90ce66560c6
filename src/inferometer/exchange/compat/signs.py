"""Signs that look like ASCII and are not, as text copied from a web page or a word processor holds them."""

from __future__ import annotations

import re
import unicodedata

DASHES = "‐‑‒–—―−﹘﹣－"
DOUBLE_QUOTES = "“”„‟«»″＂"
SINGLE_QUOTES = "‘’‚‛′＇"
QUOTES = DOUBLE_QUOTES + SINGLE_QUOTES
SPACES = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
FULL_WIDTH = "\uff01-\uff5e"


def straightened(text: str) -> str:
    """``text`` as a shell would have to be given it.

    A word processor makes one long dash of the two before a flag's name; before a single letter one was meant.
    Full-width letters are left alone outside flags, for a prompt may hold them.
    """
    text = re.sub(f"[{INVISIBLE}]", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(f"[{SPACES}]", " ", text)
    text = re.sub(f"[{DOUBLE_QUOTES}]", '"', text)
    text = re.sub(f"(?:^|(?<=[\\s=]))[{SINGLE_QUOTES}]|[{SINGLE_QUOTES}](?=\\s|$)", "'", text)
    text = re.sub(f"(?:^|(?<=\\s))[-{DASHES}]+(?=[A-Za-zＡ-Ｚａ-ｚ])[^\\s=＝]*[=＝]?", _flag, text)
    return re.sub(f"(?<=\\s)[{DASHES}](?=[0-9.])", "-", text)


def _flag(found: re.Match[str]) -> str:
    word = found[0]
    if word.isascii():
        return word
    body = word.lstrip("-" + DASHES)
    body = unicodedata.normalize("NFKC", re.sub(f"[{DASHES}]", "-", body))
    return ("-" if len(body.rstrip("=")) == 1 else "--") + body
