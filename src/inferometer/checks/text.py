"""What ``inferometer check`` says, as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.checks.demand import Need, describe_need
from inferometer.checks.envelope import CALIBRATE, DIMENSIONS, UNITS, Dimension, Envelope
from inferometer.checks.machine import Finding
from inferometer.checks.trial import Trial

_SIGNIFICANT = 2
_WORDS = {"held": "ok", "broke": "BROKE", "server": "server late"}


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """One line for each finding, and one more for what to do about it."""
    lines = []
    for finding in findings:
        lines.append(f"{'ok' if finding.ok else 'warning':<9}{finding.name:<15}{finding.text}")
        if finding.next_step:
            lines.append(f"{'':<9}{'next':<15}{finding.next_step}")
    return lines


def envelope_text(envelope: Envelope) -> str:
    """``this machine, 1 worker: up to 85,000 events/s, ..., chunk times within 40 us (p99)``."""
    workers = f"{envelope.workers} worker{'s' if envelope.workers != 1 else ''}"
    figures = [_figure(envelope, dimension) for dimension in DIMENSIONS]
    text = f"this machine, {workers}: up to {figures[0]}, {figures[1]} and {figures[2]}"
    if envelope.error_p99_us is not None:
        text += f", chunk times within {envelope.error_p99_us:.0f} us (p99)"
    if envelope.receive_clock == "user":
        text += ", without kernel receive times"
    return text


def _figure(envelope: Envelope, dimension: Dimension) -> str:
    figure = envelope.figure(dimension)
    if figure is None:
        return f"no tried number of {UNITS[dimension]}"
    least = "at least " if dimension in envelope.at_least else ""
    return f"{least}{rounded(figure):,.0f} {UNITS[dimension]}"


def rounded(figure: float) -> float:
    """Down to two significant digits: a sweep of trials of two seconds knows no more."""
    digits = len(str(int(figure))) - _SIGNIFICANT
    unit = 10.0 ** max(0, digits)
    return float(figure // unit * unit)


def details_text(envelope: Envelope) -> str:
    """What else is known of an envelope; and what to do when nothing held in some dimension."""
    missing = [UNITS[dimension] for dimension in DIMENSIONS if envelope.figure(dimension) is None]
    if missing:
        return f"nothing held in {' and '.join(missing)}: end other programs on this machine, then calibrate again"
    cost = envelope.cpu_us_per_event
    words = [] if cost is None else [f"{cost:.1f} us of CPU per event"]
    machine = envelope.machine
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    return ", ".join([*words, machine.cpu, cores, f"measured {envelope.measured_at_utc}"])


def need_text(need: Need | None) -> str:
    """``your plan needs 8 % of it: ...``."""
    if need is None:
        return (
            "your plan cannot be compared: the envelope has no figure for such a load with so many workers; "
            f"{CALIBRATE}"
        )
    return f"your plan {describe_need(need)}"


def trial_lines(trials: Sequence[Trial]) -> list[str]:
    """The sweep as a table."""
    head = ("asked", "reached", "off p50 us", "p99 us", "server late us", "CPU", "")
    rows = [_row(trial) for trial in trials]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    return ["  ".join([*_aligned(row, widths), row[-1]]).rstrip() for row in [head, *rows]]


def trial_text(trial: Trial) -> str:
    """A trial in one line."""
    asked, reached, _, off, _, cpu, verdict = _row(trial)
    within = "" if trial.error_p99_us is None else f"chunk times within {off} us (p99), "
    return f"{asked}: reached {reached}, {within}CPU {cpu}, {verdict}"


def level_text(dimension: Dimension, level: float) -> str:
    """``51,200 events/s``."""
    return f"{level:,.0f} {UNITS[dimension]}"


def _row(trial: Trial) -> tuple[str, ...]:
    verdict = _WORDS[trial.outcome]
    return (
        level_text(trial.dimension, trial.level),
        _number(trial.figure, ",.0f"),
        _number(trial.error_p50_us, ",.0f"),
        _number(trial.error_p99_us, ",.0f"),
        _number(trial.server_late_p50_us, ",.0f"),
        _number(trial.cpu_share, ".0%"),
        f"{verdict}: {trial.why}" if trial.why else verdict,
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _aligned(row: tuple[str, ...], widths: Sequence[int]) -> list[str]:
    return [
        text.ljust(width) if place == 0 else text.rjust(width)
        for place, (text, width) in enumerate(zip(row, widths, strict=False))
    ]
