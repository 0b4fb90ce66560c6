"""Names, axes and small phrases that pictures share, in both languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from inferometer.metrics.summary import PointSummary
from inferometer.report.plots.model import Axis
from inferometer.report.sweep import titled
from inferometer.report.words import Words

METRIC_NAMES: Final[dict[str, Words]] = {
    "ttft": Words("TTFT", "首字延迟 TTFT"),
    "tpot": Words("TPOT", "每输出 token 时间 TPOT"),
    "itl": Words("ITL", "token 间隔 ITL"),
    "e2el": Words("E2EL", "端到端延迟 E2EL"),
}
REQUESTS: Final = Words("requests", "请求")
GAPS: Final = Words("gaps between tokens", "token 间隔")
SAMPLES: Final = Words("samples", "采样")
TIME: Final = Axis(Words("time since the load point began", "负载点开始后的时间"), "s")
IN_FLIGHT: Final = Words("requests in flight", "在途请求")
OUTPUT_RATE: Final = Words("output throughput", "输出吞吐")
REQUEST_RATE: Final = Words("request throughput", "请求吞吐")
CONCURRENCY: Final = Words("concurrency", "并发数")
ASKED: Final = Words("asked", "要求")
STEADY: Final = Words("steady window", "稳态区间")

# Longer words first: each is replaced once, as a whole word.
_LOADS: Final = (
    (r"\bconcurrency (?=\d)", "并发数 "),
    (r"\brate (?=\d)", "请求率 "),
    (r"\ball at once\b", "一次发完"),
    (r"\bclosed loop\b", "闭环"),
    (r"\btrace\b", "轨迹"),
    (r"\bat most\b", "至多"),
    (r"\bburstiness\b", "突发度"),
    (r"\brepeat (\d+)", r"第 \1 次"),
    (r"\bin (?=\d+(,|$))", "输入 "),
    (r"\bout (?=\d+(,|$))", "输出 "),
    (r"\bsessions/s\b", "会话/s"),
    (r", ", "，"),
)


def load_words(title: str) -> Words:
    """A load's title ("concurrency 16, in 512, out 128") in both languages; what has no word stays as it is."""
    chinese = title
    for pattern, word in _LOADS:
        chinese = re.sub(pattern, word, chinese)
    return Words(title, chinese)


def point_names(points: Sequence[PointSummary]) -> list[Words]:
    """A name for each load point: its load, with lengths and repeat where these tell points apart."""
    several = any(point.load.get("repeat", 1) > 1 for point in points)
    names = titled([point.load for point in points])
    repeats = [f", repeat {point.load.get('repeat', 1)}" if several else "" for point in points]
    return [load_words(name + repeat) for name, repeat in zip(names, repeats, strict=True)]


def joined(*parts: Words | None) -> Words | None:
    """Sentences one after the other; None where there is none."""
    told = [part for part in parts if part is not None]
    if not told:
        return None
    return Words(" ".join(part.en for part in told), "".join(part.zh for part in told))


def percentile_of(name: Words, statistic: str) -> Words:
    """The metric's name with the statistic ("TTFT p99")."""
    return Words(f"{name.en} {statistic}", f"{name.zh} {statistic}")
