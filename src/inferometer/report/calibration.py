"""A calibration as console text: errors, coefficients and what the data do not say of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from inferometer.report.text import table
from inferometer.simulator.calibration.calibrated import Calibrated
from inferometer.simulator.latency.profile import Profile

MEANINGS: Final = {
    "weights_s": ("reading all weights once", "读取一遍全部权重"),
    "token_s": ("computing one token", "计算一个 token"),
    "step_s": ("every step, whatever is in it", "每一步的固定开销"),
    "sequence_s": ("each sequence of a step", "每步中的每个序列"),
    "kv_token_s": ("each token of context that decodes read", "decode 读取的每个上下文 token"),
    "attention_s": ("each query-key pair of a prefill", "prefill 的每个 query-key 对"),
    "arrival_s": ("from sending to the queue", "从发出请求到进入队列"),
    "first_token_s": ("from a step's end to the client", "从一步结束到客户端收到"),
    "comm_token_s": ("exchanging one token between devices", "设备间交换一个 token"),
    "prompt_step_s": ("a step with a prompt in it, beside step_s", "含 prefill 的一步在 step_s 之外的开销"),
}
KINDS: Final = {
    "requests": ("fit", "拟合"),
    "blocks": ("held out: time blocks", "留出：时间块"),
    "configurations": ("held out: configurations", "留出：负载配置"),
    "table": ("table rows", "表格行"),
    "steps": ("step records", "步记录"),
}
METRICS: Final = {"ttft": "TTFT", "tpot": "TPOT", "e2el": "E2EL", "step": "step"}
_SCALES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"), (1e-12, "ps"))


def seconds(value: float) -> str:
    """A duration with three digits in the unit that fits it: ``13.2 ms``."""
    if value == 0.0:
        return "0"
    for scale, unit in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / _SCALES[-1][0]:.2g} ps"


def share(value: float | None, signed: bool = False) -> str:
    """A share in per cent; ``-`` where there is none."""
    if value is None:
        return "-"
    return f"{value:+.1%}" if signed else f"{value:.1%}"


def spread_of(profile: Profile, name: str) -> tuple[float, float] | None:
    """The middle 90 % of a coefficient over the ensemble; None without one, or where it is held at 0."""
    values = [getattr(member, name) for member in profile.ensemble]
    if not values or not any(values):
        return None
    return float(np.percentile(values, 5)), float(np.percentile(values, 95))


def error_rows(errors: Mapping[str, float]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Kind, metric and errors (``mape``, ``median``, ``mean``, ``p99``) of each that there is."""
    for kind in KINDS:
        for metric in METRICS:
            prefix = f"{kind}_{metric}_"
            found = {
                name.removeprefix(prefix): value for name, value in errors.items() if name.startswith(prefix)
            }
            if found:
                yield kind, metric, found


def calibration_lines(found: Calibrated, width: int) -> list[str]:
    """What a user sees of a calibration on the console."""
    profile = found.profile
    what = ", ".join(filter(None, (profile.engine, profile.device))) or "engine"
    lines = [f"Calibrated {what} from {profile.provenance.observations} observations"]
    lines += [f"  {line}" for line in found.sources]
    lines += ["", *_errors(found), "", *_coefficients(found), "", *_region(found)]
    for warning in found.warnings:
        lines += ["", *textwrap.wrap(f"warning: {warning}", width, subsequent_indent="  ")]
    return lines


def _errors(found: Calibrated) -> list[str]:
    header, rows = ("errors", "", "mean abs", "median abs", "mean off", "p99 off"), []
    for errors, only in ((found.fitted, "fit"), (found.profile.provenance.held_out, "held out")):
        for kind, metric, each in error_rows(errors):
            name = KINDS[kind][0]
            named = f"{only}: {name}" if kind in ("table", "steps") else name
            shares = [share(each.get("mape")), share(each.get("median"))]
            rows.append(
                [named, METRICS[metric], *shares, share(each.get("mean"), True), share(each.get("p99"), True)]
            )
    lines = table(header, rows, "<<>>>>")
    if found.coverage:
        inside = ", ".join(f"{METRICS[name]} {share(value)}" for name, value in found.coverage.items())
        lines.append(f"90 % intervals hold {inside} of the held-out requests")
    return lines


def _coefficients(found: Calibrated) -> list[str]:
    header, rows = ("coefficient", "value", "90 % of refits", "seen", "of"), []
    notes = {row.name: row for row in found.seen}
    for name, (meaning, _) in MEANINGS.items():
        value = getattr(found.profile.coefficients, name)
        middle = spread_of(found.profile, name)
        row = notes.get(name)
        if row is None:
            continue
        told = "yes" if row.seen else f"no, as {row.mixed_with}" if row.mixed_with else "no"
        spread = "-" if middle is None else f"{seconds(middle[0])} to {seconds(middle[1])}"
        rows.append([name, seconds(value), spread, told, meaning])
    return table(header, rows, "<><<<")


def _region(found: Calibrated) -> list[str]:
    limits = found.profile.limits
    lines = [
        f"KV cache   {limits.kv_blocks * limits.block_tokens:,} tokens ({found.kv_source})",
        f"scheduler  {limits.scheduler}: {limits.max_num_seqs} sequences, {limits.max_num_batched_tokens} tokens/step",
    ]
    seen = found.profile.seen
    if seen:
        ranges = [
            f"{name} {min(values):,.0f}" + (f" to {max(values):,.0f}" if max(values) > min(values) else "")
            for name in type(seen[0]).__struct_fields__
            for values in ([getattr(each, name) for each in seen],)
        ]
        lines.append(f"seen       {', '.join(ranges)}")
    return lines
