"""Token counts without any file: an estimate for the time before a tokenizer is at hand."""

from __future__ import annotations

import re
from zlib import crc32

from inferometer.errors import UsageError
from inferometer.workload.words import WORDS

__all__ = ["WORDS", "BuiltinTokenizer"]

_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
)
_CJK += "\uff66-\uff9f\U00020000-\U0003ffff"

# One match is one token, except a group of two or three CJK characters, which is two.
_PIECE = re.compile(
    rf"""
      '[a-z]{{1,2}}(?![a-z])                        # 's 't 're 'll
    | [ ._]?(?:[A-Z]?[a-z]{{1,7}}|[A-Z]{{1,4}})     # a word, or a part of a longer one
    | [0-9]{{1,3}}
    | [ ]?[!-/:-@\[-`{{-~]{{1,3}}                   # ASCII signs
    | [ ]?[{_CJK}]{{1,3}}
    | [ ]?(?:(?![{_CJK}])[^\W0-9_A-Za-z]){{1,3}}    # letters of all other scripts
    | \s+(?!\S) | \s+                               # white space, but the last one before a word
    | .                                             # any other sign
    """,
    re.VERBOSE | re.DOTALL,
)
_CJK_GROUP = re.compile(rf"[{_CJK}]{{2,3}}")


class BuiltinTokenizer:
    """Estimates token counts by script, as vocabularies of 100,000 to 200,000 pieces split text.

    It needs no file and no model, so its counts are marked as estimates (``exact`` is False). The rules, and
    the reason of each:

    - English: one token per started 7 letters of a word, with the space, ``.`` or ``_`` before it. Most words
      up to that length are whole pieces; prose comes to about 4.3 characters a token.
    - Code: words also end where upper case begins (``getName``); capitals alone count 4 to a token; up to 3
      signs in a row are one token; indentation is one token.
    - Digits: groups of 3, as most vocabularies since 2023 do it. (Some split into single digits.)
    - Chinese, Japanese, Korean: 1.5 characters a token, rounded up per run of characters: about half of the
      two-character words are pieces of their own, the other characters are single.
    - Other letters (Cyrillic, Greek, Arabic, accented Latin): 3 to a token. Scripts with combining marks
      (Devanagari, Thai) count about 1.5 characters a token, because each mark ends a group.
    - Any other sign (full-width punctuation, emoji): one token each.

    Each word of ``WORDS`` counts exactly 1, alone or after a space.
    """

    name = "builtin"
    exact = False
    words = WORDS

    def count(self, text: str) -> int:
        """Estimated number of tokens of ``text``."""
        pieces = len(_PIECE.findall(text))
        if text.isascii():
            return pieces
        return pieces + len(_CJK_GROUP.findall(text))

    def encode(self, text: str) -> list[int]:
        """One stable id (CRC-32 of the piece) per estimated token; equal pieces have equal ids."""
        return [_id(piece) for piece in self.pieces(text)]

    def pieces(self, text: str) -> list[str]:
        """The text of each estimated token."""
        pieces: list[str] = _PIECE.findall(text)
        if text.isascii():
            return pieces
        halves = ((p[:-1], p[-1]) if _CJK_GROUP.search(p) else (p,) for p in pieces)
        return [half for group in halves for half in group]

    def starts(self, text: str) -> list[int]:
        """Character at which each estimated token of ``text`` begins."""
        found: list[int] = []
        for piece in _PIECE.finditer(text):
            found.append(piece.start())
            if _CJK_GROUP.search(piece[0]):
                found.append(piece.end() - 1)
        return found

    def decode(self, ids: list[int]) -> str:
        """Always refused.

        Raises:
            UsageError: an estimate has no vocabulary to decode with.
        """
        raise UsageError(
            f"the builtin tokenizer cannot decode {len(ids)} ids: it estimates counts and has no vocabulary",
            "give the model's own: --tokenizer PATH/tokenizer.json",
        )


def _id(piece: str) -> int:
    return crc32(piece.encode("utf-8", "surrogatepass"))
