"""What servers of our own write when they do not start: ``error: MESSAGE (NEXT STEP)``."""

from __future__ import annotations

import re

from inferometer.engines.troubles import Pattern

OWN_ERRORS = (
    Pattern(
        re.compile(r"^error: (?P<said>.+) \((?P<step>[^()]+(?:\([^()]*\)[^()]*)*)\)$", re.MULTILINE),
        "{said}",
        "{step}",
    ),
    Pattern(re.compile(r"^error: (?P<said>.+)$", re.MULTILINE), "{said}", "correct the flag, or the model"),
)
"""The one with a next step comes first: of two patterns that fit a line, the earlier is taken."""
