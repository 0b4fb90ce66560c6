"""What pictures are to the simulated model: a fixed number of tokens, which depend on the picture alone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b, shake_128

TOKENS = 256  # what models with fixed picture tokens take for a picture of some 450 x 450 pixels


def picture_text(content: bytes, words: Sequence[str]) -> str:
    """A text of 256 tokens that stands for a picture, so that equal pictures share a prefix cache and others do not.

    Args:
        content: the picture as the request has it.
        words: one token each.
    """
    digest = shake_128(blake2b(content).digest()).digest(TOKENS)
    return " ".join(words[byte % len(words)] for byte in digest)
