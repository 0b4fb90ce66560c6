"""Text of reports in both of their languages."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Words(NamedTuple):
    """The same in English and Chinese. Names of metrics, units and flags are alike in both."""

    en: str
    zh: str

    def in_language(self, language: Language) -> str:
        """One of the two."""
        return self.zh if language == "zh" else self.en


def same(text: str) -> Words:
    """What is written alike in both: a metric's short name, a label that a user gave, a number with its unit."""
    return Words(text, text)
