"""What a finding is: a statement about a run with the numbers that it rests on."""

from __future__ import annotations

from typing import Literal

import msgspec

from inferometer.report.words import Words


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the records say.

    Attributes:
        key: stable name of its kind ("knee", "condition:send lag").
        level: "bad": figures are wrong or requests fail; "warn": read them with care; "info": what they mean.
        text: what is so.
        evidence: the numbers that say it.
        next_step: what to do; None where there is nothing to be done.
        picture: key of the picture that shows it; None without one.
    """

    key: str
    level: Literal["info", "warn", "bad"]
    text: Words
    evidence: Words
    next_step: Words | None = None
    picture: str | None = None
