"""The verdict of a measurement of speed, and its summary. OOM is a result and spoils no verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from inferometer.metrics.speed import SpeedRow, duration_s, speed_rows
from inferometer.metrics.verdict import Condition, Verdict, decide
from inferometer.record.speed import EngineFacts, Generation, Idleness, SpeedRecord

FEWEST_REPEATS = 3  # "test several times and take the mean, typically 3": Qwen's procedure
SPREAD = 0.05
BUSY_SHARE = 0.05
HELD_SHARE = 0.1  # an idle Ascend 910 with 64 GiB shows 5 %, a desktop on a small card about as much
CORE_WAIT_SHARE = 0.05
_CLOCK_STEP_S = 0.05


class SpeedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that follows from a record; ``speed_summary.json``."""

    schema: str = "inferometer.speed-summary/1"
    run_id: str
    state: str
    engine: str
    model: str
    simulated: bool
    facts: EngineFacts
    verdict: Verdict
    rows: list[SpeedRow]
    notes: list[str]


def summarize_speed(record: SpeedRecord) -> SpeedSummary:
    """Rows and verdict of a record."""
    rows = speed_rows(record)
    return SpeedSummary(
        run_id=record.run_id,
        state=record.state,
        engine=record.engine,
        model=record.model,
        simulated=record.simulated,
        facts=record.facts,
        verdict=decide(speed_conditions(record, rows)),
        rows=rows,
        notes=[*record.notes, *record.facts.notes],
    )


def speed_conditions(record: SpeedRecord, rows: Sequence[SpeedRow]) -> list[Condition]:
    """Every condition that applies, hard ones first."""
    counted = [each for each in record.generations if each.repeat and each.outcome == "ok"]
    found = [_measured(rows), _complete(record), *_none_broke(rows)]
    if counted:
        found += [*_lengths(counted), *_of_runs(counted), _clock(counted)]
        found += [_repeats(record, rows), *_spread(rows), *_outliers(rows), *_core_wait(counted)]
    found += [*_idle(record), *_held(record)]
    return sorted(found, key=lambda condition: condition.level != "hard")


def _measured(rows: Sequence[SpeedRow]) -> Condition:
    good = sum(row.outcome == "ok" for row in rows)
    return Condition(
        name="measured",
        level="hard",
        asked="rows with a speed",
        measured=good,
        limit=1,
        unit="rows",
        ok=good > 0,
        next_step="see the reasons in the rows, and the log of the engine in the folder",
    )


def _complete(record: SpeedRecord) -> Condition:
    return Condition(
        name="complete",
        level="warn",
        asked="the measurement came to its end",
        measured=None,
        limit=None,
        unit="",
        ok=record.state == "complete",
        next_step="rows that are missing were not measured: it was interrupted",
    )


def _none_broke(rows: Sequence[SpeedRow]) -> Iterator[Condition]:
    """Only memory and length are reasons that a row may be missing for."""
    broken = [row for row in rows if row.outcome in ("crashed", "failed")]
    if broken:
        yield Condition(
            name="rows that broke",
            level="warn",
            asked="rows without a speed for a reason other than memory or length",
            measured=len(broken),
            limit=0,
            unit="rows",
            ok=False,
            next_step=f"input {broken[0].input_tokens}: {broken[0].reason or broken[0].outcome}",
        )


def _lengths(counted: Sequence[Generation]) -> Iterator[Condition]:
    exact = [each for each in counted if each.output_tokens == [each.asked_tokens] * each.batch]
    told = all(each.output_tokens for each in counted)
    yield Condition(
        name="output length",
        level="hard",
        asked="generations with exactly the tokens that were asked for",
        measured=len(exact),
        limit=len(counted),
        unit="generations",
        ok=len(exact) == len(counted),
        next_step="the engine ended answers early: it has to obey min_tokens or ignore_eos"
        if told
        else "the server did not say how many tokens it made: give the model's own --tokenizer",
    )
    known = [each for each in counted if each.seen_input_tokens]
    if known:
        wrong = [each for each in known if any(n != each.input_tokens for n in each.seen_input_tokens)]
        yield Condition(
            name="prompt length",
            level="hard",
            asked="prompts that the server counts as long as asked",
            measured=len(known) - len(wrong),
            limit=len(known),
            unit="generations",
            ok=not wrong,
            next_step="give the model's own --tokenizer; a server that adds a token of its own counts it too",
        )


def _of_runs(counted: Sequence[Generation]) -> Iterator[Condition]:
    """What the load generator said of itself, where a server was measured."""
    for level, mark in (("hard", "!"), ("warn", "")):
        names = sorted(
            {
                doubt.removeprefix("!")
                for g in counted
                for doubt in g.doubts
                if doubt.startswith("!") == bool(mark)
            }
        )
        if names:
            yield Condition(
                name="measuring line" if level == "hard" else "doubts of the measuring line",
                level="hard" if level == "hard" else "warn",
                asked="conditions of the runs behind the rows",
                measured=len(names),
                limit=0,
                unit="conditions",
                ok=False,
                next_step=f"{', '.join(names)}: see inferometer report on the folders in runs/",
            )


def _clock(counted: Sequence[Generation]) -> Condition:
    steps = 0
    for each in counted:
        seconds = duration_s(each)
        if seconds is not None and each.unix_begin_ns is not None and each.unix_end_ns is not None:
            wall_s = (each.unix_end_ns - each.unix_begin_ns) / 1e9
            steps += abs(wall_s - seconds) > max(_CLOCK_STEP_S, 0.001 * seconds)
    return Condition(
        name="clock",
        level="warn",
        asked="generations during which the wall clock stepped, or the machine slept",
        measured=steps,
        limit=0,
        unit="generations",
        ok=steps == 0,
        next_step="stop what sets the clock, keep the machine awake, and measure again",
    )


def _repeats(record: SpeedRecord, rows: Sequence[SpeedRow]) -> Condition:
    fewest = min((row.repeats for row in rows if row.outcome == "ok"), default=0)
    return Condition(
        name="repeats",
        level="warn",
        asked="repeats of the row with the fewest",
        measured=fewest,
        limit=FEWEST_REPEATS,
        unit="repeats",
        ok=fewest >= FEWEST_REPEATS,
        next_step=f"--repeats {FEWEST_REPEATS} or more shows what chance does",
    )


def _spread(rows: Sequence[SpeedRow]) -> Iterator[Condition]:
    known = [row.spread for row in rows if row.spread is not None]
    if known:
        yield Condition(
            name="spread of repeats",
            level="warn",
            asked="standard deviation / mean of the speed, the worst row",
            measured=max(known),
            limit=SPREAD,
            unit="share",
            ok=max(known) <= SPREAD,
            next_step="keep the device free of other work, give more --warmup, or generate more tokens",
        )


def _outliers(rows: Sequence[SpeedRow]) -> Iterator[Condition]:
    found = [
        f"input {row.input_tokens} batch {row.batch} repeat {place}" for row in rows for place in row.outliers
    ]
    if found:
        yield Condition(
            name="outlier",
            level="warn",
            asked="repeats far from the median of their row",
            measured=len(found),
            limit=0,
            unit="repeats",
            ok=False,
            next_step=f"{', '.join(found[:3])}: it is part of the mean; measure again",
        )


def _core_wait(counted: Sequence[Generation]) -> Iterator[Condition]:
    """The engine's main thread had a core whenever it could run."""
    shares = [
        each.core_wait_s / seconds
        for each in counted
        if each.core_wait_s is not None and (seconds := duration_s(each)) is not None
    ]
    if shares:
        yield Condition(
            name="host busy",
            level="warn",
            asked="time that the engine's main thread waited for a core, the worst generation",
            measured=max(shares),
            limit=CORE_WAIT_SHARE,
            unit="share",
            ok=max(shares) <= CORE_WAIT_SHARE,
            next_step="stop other work on the machine, or give the engine cores of its own",
        )


def is_busy(state: Idleness) -> bool:
    """Whether somebody else computes on a device, or holds memory of it."""
    over = (state.busy_share or 0.0) > BUSY_SHARE or (state.memory_share or 0.0) > HELD_SHARE
    return over or bool(state.processes)


def _held(record: SpeedRecord) -> Iterator[Condition]:
    """Beside what somebody else holds, a row may be OOM that would fit."""
    known = [(each.memory_share, each) for each in record.idle if each.memory_share is not None]
    if known:
        share, worst = max(known, key=lambda pair: pair[0])
        yield Condition(
            name="device memory",
            level="warn",
            asked=f"memory of {worst.device} that was taken before the start ({worst.source})",
            measured=share,
            limit=HELD_SHARE,
            unit="share",
            ok=share <= HELD_SHARE,
            next_step="end what holds it, also in other containers: what is OOM beside it may fit alone",
        )


def _idle(record: SpeedRecord) -> Iterator[Condition]:
    known = [each for each in record.idle if each.busy_share is not None]
    if known:
        worst = max(known, key=lambda each: (bool(each.processes), each.busy_share or 0.0))
        others = f" ({', '.join(worst.processes[:3])})" if worst.processes else ""
        yield Condition(
            name="device idle",
            level="warn",
            asked=f"how busy {worst.device} was before the start ({worst.source})",
            measured=worst.busy_share,
            limit=BUSY_SHARE,
            unit="share",
            ok=(worst.busy_share or 0.0) <= BUSY_SHARE and not any(each.processes for each in known),
            next_step=f"end what else uses it{others}, and measure again",
        )
    elif record.engine != "endpoint":
        yield Condition(
            name="device idle",
            level="warn",
            asked="whether the device was idle before the start",
            measured=None,
            limit=None,
            unit="",
            ok=None,
            next_step="no tool on this machine says: nvidia-smi, npu-smi, hy-smi, rocm-smi",
        )
