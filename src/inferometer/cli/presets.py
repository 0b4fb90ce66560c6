"""The published tests behind ``--preset``, as a page."""

from __future__ import annotations

import shlex
import textwrap

from inferometer.spec.options import options
from inferometer.spec.presets import PRESETS, Preset

_INDENT = 9


def render_presets(width: int) -> str:
    """Every preset with its command line, what it stands for, and the same in flags."""
    blocks = ["Published tests. Flags, environment and file win over a preset; --dry-run shows what it sets."]
    for name, preset in PRESETS.items():
        parts = [
            ("run", f"inferometer run --preset {name} {preset.needs}"),
            *(("then", line) for line in preset.then),
            ("as", preset.source),
            ("sets", flags_of(preset)),
            *(("note", note) for note in preset.notes),
        ]
        lines = textwrap.wrap(f"{name}: {preset.text}", width, subsequent_indent="  ", break_on_hyphens=False)
        for title, text in parts:
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=f"  {title:<{_INDENT - 2}}",
                subsequent_indent=" " * _INDENT,
                break_long_words=False,
                break_on_hyphens=False,
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def flags_of(preset: Preset) -> str:
    """What a preset sets, as the flags that set the same."""
    words = []
    for dotted, value in preset.values.items():
        option = options()[dotted]
        if option.shape == "switch":
            words.append(option.flag if value else "--no-" + option.flag.removeprefix("--"))
        else:
            values = value if isinstance(value, tuple) else (value,)
            shown = (f"{item:g}" if isinstance(item, float) else shlex.quote(str(item)) for item in values)
            words.append(" ".join([option.flag, *shown]))
    return " ".join(words)
