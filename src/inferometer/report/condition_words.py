"""Conditions of the verdict in both languages: what each is called, asks for, means when it does not hold, and shows.

In files and on the console they are English; what has no Chinese here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from inferometer.metrics.verdict import Condition
from inferometer.report.plots.terms import load_words
from inferometer.report.text import apart
from inferometer.report.words import Words, same


class Said(NamedTuple):
    """A condition that does not hold.

    Attributes:
        english: what is so.
        chinese: the same.
        next_step: what to do, in Chinese; in English the condition says it itself.
        picture: stem of the key of the picture of the load point that shows it; empty without one.
    """

    english: str
    chinese: str
    next_step: str
    picture: str = ""


_BUSY: Final = "换用更空闲或更快的客户端机器，或降低负载"
CONDITIONS: Final[dict[str, Said]] = {
    "records": Said(
        "Not every planned request has a record", "请求记录不全", "查看 run.json 中的备注", "request_rate"
    ),
    "sittings": Said(
        "Something changed between the sittings of the run",
        "运行分多次完成，其间有变化",
        "查看各次之间的变化",
    ),
    "engine": Said("The launched server ended before the run did", "启动的服务端提前结束", "查看 engine.log"),
    "node start": Said(
        "The machines that send the load did not surely begin together",
        "各发送机器未能确定同时开始",
        "检查各机器的时钟",
    ),
    "measured by us": Said("Another tool measured this run", "由其他工具测量", "自己测量一次以确认"),
    "errors": Said(
        "Too many requests failed", "失败请求过多", "先排查最常见的错误，或降低负载", "request_rate"
    ),
    "workers": Said("A worker of the client did not report", "有工作进程未报告", "查看 run.json 中的备注"),
    "send lag": Said("The client sent late", "发送滞后", _BUSY, "client_send_lag"),
    "latest send": Said(
        "One request was sent very late",
        "最晚的一次发送滞后",
        "检查客户端机器上的其他任务",
        "client_send_lag",
    ),
    "achieved rate": Said(
        "The rate that was asked for was not reached",
        "未达到要求的请求率",
        f"增加 --workers，{_BUSY}；若设有并发上限则提高它",
        "request_rate",
    ),
    "concurrency": Said(
        "The concurrency that was asked for was not held",
        "未保持要求的并发数",
        "增加请求数（--num-prompts 至少为并发数的 5 倍）",
        "in_flight",
    ),
    "receive clock": Said(
        "Receive times are not the kernel's",
        "接收时间并非来自内核",
        "在有内核时间戳的系统（Linux）上运行客户端",
    ),
    "receive lag": Said(
        "The client read late",
        "接收滞后",
        "降低每个工作进程的负载，或使用有内核时间戳的系统（Linux）",
        "client_receive_lag",
    ),
    "chunk times": Said(
        "Arrival times of some chunks are blurred",
        "部分 token 的到达时间不准",
        "为客户端留出独占的 CPU 核后重新测量",
        "client_receive_lag",
    ),
    "client CPU": Said(
        "The client was near the end of its CPU",
        "客户端 CPU 不足",
        "增加 --workers，换更快的客户端，或降低负载",
        "client_cpu",
    ),
    "client host busy": Said(
        "The client had to wait for its core",
        "客户端机器被其他任务占用",
        "停止其他任务，或让服务端避开客户端的 CPU 核",
        "client_cpu",
    ),
    "streamed": Said(
        "Answers did not come as a stream",
        "回答并非流式返回",
        "检查服务端或代理是否缓冲，或用 --no-stream 测量",
    ),
    "output length": Said(
        "Answers have another length than was fixed",
        "输出长度与要求不符",
        "检查服务端是否遵循 ignore_eos、上下文是否足够长",
    ),
    "clock": Said("The wall clock was set during the run", "系统时钟被调整", "停止调整时钟的服务后重新测量"),
    "clock error": Said(
        "Kernel times could not be converted exactly enough",
        "时钟换算误差过大",
        "停止调整时钟的服务，为客户端留出独占的 CPU 核",
    ),
    "samples": Said(
        "Too few requests for some of the shown percentiles",
        "样本不足以给出所示百分位",
        "增加 --num-prompts，或用 --percentiles 选更低的百分位",
    ),
    "steady window": Said(
        "No steady window, or a drift inside it",
        "没有稳态区间，或其中吞吐有漂移",
        "延长测量，或检查服务端随时间的变化",
        "output_rate",
    ),
    "cached prompt tokens": Said(
        "The server knew prompts from its prefix cache",
        "前缀缓存命中",
        "测量前清空前缀缓存，或使用没有公共前缀的提示",
    ),
    "coalesced chunks": Said(
        "Chunks came together in one read", "多个 token 合并到达", "ITL 应理解为到达间隔，而非 token 间隔"
    ),
    "usage missing": Said(
        "The server did not report its token counts",
        "服务端未报告 token 数",
        "让服务端返回 usage，或指定 --tokenizer",
    ),
    "other finish reasons": Said(
        "Answers ended for other reasons than was asked for",
        "结束原因与要求不同",
        "查看 requests.parquet 中的 finish_reason",
    ),
    "repeated prompts": Said(
        "Prompts were sent more than once",
        "提示被重复发送",
        "使用更大的数据集、减少请求数，或用 --flush-cache 清空缓存",
    ),
    "cut off": Said(
        "Requests were cut off at the end of the load point",
        "部分请求在负载点结束时被截断",
        "延长 --duration 或 --grace，或使用 --drain finish",
    ),
    "stopped early": Said("The load point was stopped early", "负载点提前停止", "查看停止原因"),
    "shape": Said(
        "The load ended before its shape did",
        "负载曲线未走完",
        "增加 --num-prompts 或 --duration",
        "in_flight",
    ),
    "given up": Said(
        "Not as many requests were given up as was asked for", "放弃的请求与要求不符", "查看客户端取消的设置"
    ),
    "engine counters": Said("The engine's counters cannot be used", "引擎计数不可用", "检查服务端是否重启"),
    "acceptance on made-up prompts": Said(
        "The acceptance of drafts was measured on made-up prompts",
        "随机提示上的草稿接受率没有意义",
        "使用真实文本",
    ),
    "drafts of others": Said(
        "The draft counters hold work for other clients",
        "草稿计数中含其他客户端的请求",
        "独占服务端后重新测量",
    ),
    "throughput of repeats": Said(
        "Throughput differs between repeats",
        "重复测量之间吞吐差异大",
        "延长（--num-prompts）或增加重复（--repeat）",
    ),
    "latency of repeats": Said(
        "Latency differs between repeats",
        "重复测量之间延迟差异大",
        "延长（--num-prompts）或增加重复（--repeat）",
    ),
    "complete": Said("The run did not come to its end", "运行未完成", "结果只含已完成的部分"),
    "measured points": Said("No load point was measured", "没有测量到任何负载点", "查看 run.json 中的备注"),
    "node clocks": Said(
        "Clocks of the sending machines are too far apart", "各发送机器的时钟偏差过大", "检查各机器的时钟"
    ),
}

_NAMES: Final = {
    "acceptance on made-up prompts": "随机提示词上的草稿接受率",
    "achieved rate": "实际请求率",
    "chunk times": "数据块时间",
    "client CPU": "客户端 CPU",
    "client host busy": "客户端主机繁忙",
    "clock": "时钟",
    "clock error": "时钟误差",
    "coalesced chunks": "合并到达的数据块",
    "complete": "运行完整",
    "concurrency": "并发数",
    "drafts of others": "他人的草稿",
    "engine": "推理引擎",
    "engine counters": "引擎计数器",
    "errors": "错误",
    "cut off": "中断的请求",
    "other finish reasons": "其他结束原因",
    "given up": "放弃的请求",
    "latency of repeats": "重复测量的延迟",
    "latest send": "最晚发送",
    "measured points": "已测负载点",
    "node clocks": "节点时钟",
    "node start": "节点启动",
    "output length": "输出长度",
    "cached prompt tokens": "缓存的输入 token",
    "receive clock": "接收时钟",
    "receive lag": "接收滞后",
    "records": "请求记录",
    "repeated prompts": "重复的提示词",
    "samples": "样本数",
    "send lag": "发送滞后",
    "shape": "负载形状",
    "sittings": "分次测量",
    "steady window": "稳态区间",
    "stopped early": "提前停止",
    "streamed": "流式输出",
    "throughput of repeats": "重复测量的吞吐",
    "usage missing": "未上报用量",
    "workers": "发生器进程",
    "measured by us": "由我们测量",
}

# What is asked, whole; what is in brackets is a number, a name, or a load's title.
_ASKED: Final = (
    (r"workers that came to the end of the load point", "到达负载点结束的工作进程数"),
    (r"(p[\d.]+|the highest) of the generator's own lateness", r"发生器自身滞后的 \1"),
    (r"the generator's worst lateness", "发生器的最大滞后"),
    (r"kernel receive times", "内核接收时间"),
    (r"p99 without kernel receive times", "p99，无内核接收时间"),
    (r"p99, as only (.+) of the chunks have a kernel receive time", r"p99，仅 \1 的数据块有内核接收时间"),
    (r"output chunks whose time is not known to within 0.5 ms", "到达时间误差超过 0.5 ms 的输出数据块"),
    (
        r"p95 of the CPU of the busiest worker, second by second, share of a core",
        "最忙进程逐秒 CPU 的 p95（占一个核）",
    ),
    (r"time that the worst worker waited for a core", "等待 CPU 最多的进程的等待时间占比"),
    (r"bound of the error of converted kernel times", "内核时间换算误差的上界"),
    (r"no step of the wall clock", "系统时钟无跳变"),
    (
        r"(.+), each tenth of the requests within 1 % of the schedule's own rate",
        r"\1，每十分之一的请求与计划速率相差不超过 1 %",
    ),
    (r"(.+), within 1 % of the schedule's own rate", r"\1，与计划速率相差不超过 1 %"),
    (r"rounds of (\d+) in flight together, 95 % of it held", r"每轮 \1 个同时在途，至少保持其 95 %"),
    (r"(\d+) in flight, 95 % of it held", r"\1 个在途，至少保持其 95 %"),
    (r"(\d+) sessions at once, 95 % of it held", r"\1 个会话并行，至少保持其 95 %"),
    (r"(.+), 95 % of it held", r"\1，至少保持其 95 %"),
    (r"requests until the time is up", "请求持续到时间结束"),
    (r"one record per planned request", "每个计划的请求各有一条记录"),
    (r"failed share", "失败占比"),
    (r"share of answers that came as a stream", "流式返回的回答占比"),
    (r"mean deviation from the fixed length", "与固定长度的平均偏差"),
    (r"ten values beyond each shown percentile", "每个所示百分位之外至少十个值"),
    (r"a time of held load without drift", "负载保持且吞吐无漂移的时段"),
    (r"drift of the throughput inside", "区间内的吞吐漂移"),
    (r"each prompt once, or none from a cache", "每个提示只发送一次，或不命中缓存"),
    (r"share", "占比"),
    (
        r"the failed share went above --stop-on-errors, so no more was sent",
        "失败占比超过 --stop-on-errors，停止发送",
    ),
    (r"requests piled up, so no more was sent", "请求不断积压，停止发送"),
    (r"requests until the end of the spike", "请求持续到尖峰结束"),
    (r"requests until the end of the ramp", "请求持续到爬升结束"),
    (r"([\d.e+-]+) % of the requests given up by the client", r"客户端按要求放弃 \1 % 的请求"),
    (r"measured by inferometer, not by (.+)", r"由 inferometer 而非 \1 测量"),
    (r"requests that the stated (.+) takes", r"所述 \1 所需的请求数"),
    (r"a run that its own conditions do not call INVALID", "其自身的条件未判为 INVALID 的运行"),
    (
        r"machines that send the load begin together: bound of the error of their clocks' offsets",
        "各发送机器同时开始：时钟偏差误差的上界",
    ),
    (r"clocks of the machines that send the load, known to within", "各发送机器时钟的已知精度"),
    (
        r"the same settings, server, data and client in each sitting",
        "各次测量的设置、服务端、数据与客户端相同",
    ),
    (r"standard deviation / mean over repeats, the worst load", "重复测量的标准差 / 均值（最差的负载）"),
    (r"acceptance on them means nothing, and latencies follow it", "其上的接受率没有意义，且延迟随之变化"),
    (r"share of the tokens from drafts that no request of ours got", "草稿所得 token 中非本测量请求的占比"),
    (r"at least one", "至少一个"),
    (r"the run came to its end", "运行完整结束"),
    (r"the launched server runs until it is stopped", "启动的服务端运行到被停止为止"),
)
# Next steps of conditions that have more than one.
_STEPS: Final = (
    (
        r"--num-prompts (\d+), or ask for lower --percentiles",
        r"使用 --num-prompts \1，或用 --percentiles 选更低的百分位",
    ),
    (
        r"too few (?:requests|sessions) to hold (\d+) in flight: --num-prompts (\d+) or more",
        r"请求不足以保持 \1 个在途：--num-prompts 至少为 \2",
    ),
    (r"use a less busy or faster client machine: it was slow to send again", f"客户端补发不及时：{_BUSY}"),
    (
        r"see the failures: a request that is refused is hardly in flight",
        "查看失败请求：被拒绝的请求几乎不在途",
    ),
    (
        r"the client was held up for up to ([\d.,]+ m?s) .*: give it a core of its own and measure again",
        r"客户端曾停顿达 \1（被暂停或所在核繁忙）：为其留出独占的 CPU 核后重新测量",
    ),
    (
        r"empty the server's prefix cache before the run: .*",
        "运行前清空服务端的前缀缓存：其中有先前运行的提示",
    ),
    (r"use prompts that share no prefix, or turn .*", "使用没有公共前缀的提示，或关闭服务端的前缀缓存"),
    (r"tokens of an answer or its target are not known: .*", "回答或目标的 token 数未知：指定 --tokenizer"),
    (r"fewer than two requests were sent", "发送的请求不足两个"),
    (r"the server does not report cached tokens", "服务端不报告缓存的 token"),
    (r"the server gives no finish reason", "服务端不给出结束原因"),
    (r"the files do not say how many requests failed", "文件未说明失败的请求数"),
    (r"no request ended: .*", "没有请求结束：检查服务端能否回答单个请求"),
    (r"see what changes at the server over time .*", "检查服务端随时间的变化（缓存填满、降频），或延长测量"),
    (r"see whether the endpoint answers a single request", "检查服务端能否回答单个请求"),
)
# Why a load point has no steady window, and what to do.
_NO_WINDOW: Final = (
    (r"not looked for: --steady-window off", "未查找：--steady-window off"),
    (r"too short: (.+)", r"过短：\1"),
    (r"([\d,]+) answers", r"仅 \1 个回答"),
    (r"([\d,]+) answers ended at full load", r"满负载期间仅结束 \1 个回答"),
    (r"a ramp up to the last request", "直到最后一个请求仍在爬升"),
    (
        r"(.+) at full load, of which (\d+) % had to pass until the first requests had made room for others",
        r"满负载仅 \1，其中 \2 % 之后首批请求才让出位置",
    ),
    (
        r"([\d,]+) requests do not outlast the first ([\d,]+) in flight",
        r"\1 个请求未能延续到首批 \2 个在途请求之后",
    ),
    (
        r"(.+) at full load is (.+) times as long as a request: .* between (.+) and (.+)",
        r"满负载 \1，仅为单个请求时长的 \2 倍：同起同止的请求波使吞吐在 \3 与 \4 之间变动",
    ),
    (
        r"in flight grew until the end, from (.+) to ([\d,]+): (.+) req/s were offered, the service carried about (.+)",
        r"在途请求直到结束仍在增长，从 \1 到 \2：要求 \3 req/s，服务仅承载约 \4",
    ),
    (
        r"in flight grew until the end, from (.+) to ([\d,]+), though the service carried what was offered",
        r"在途请求直到结束仍在增长，从 \1 到 \2，尽管服务承载了所要求的负载",
    ),
    (
        r"throughput never settled: it changed its level (\d+) times in (.+), between (.+) and (.+)",
        r"吞吐始终未稳定：\2 内水平变化 \1 次，在 \3 与 \4 之间",
    ),
    (r"all requests were sent at once: what was in flight only fell", "所有请求一次发出：在途数只减不增"),
    (r"no request was sent", "没有发送请求"),
    (
        r"(\d+) answers ended in --steady-window (.+): the load point took (.+)",
        r"--steady-window \2 内仅结束 \1 个回答：负载点历时 \3",
    ),
    (
        r"give more --num-prompts, at least five times the requests in flight",
        "增加 --num-prompts，至少为在途请求数的 5 倍",
    ),
    (
        r"give --max-concurrency or a --request-rate to measure a load that is held",
        "使用 --max-concurrency 或 --request-rate 以测量保持的负载",
    ),
    (r"offer less, such as --request-rate (.+)", r"降低负载，例如 --request-rate \1"),
    (
        r"see what changed at the server \(.*\), or measure for longer",
        "检查服务端的变化（降频、其他负载、缓存），或延长测量",
    ),
    (r"see what failed", "查看失败请求"),
    (
        r"give a window in which at least (\d+) answers end, or auto",
        r"指定至少有 \1 个回答结束的区间，或用 auto",
    ),
)
_UNITS: Final = {
    "values": "个值",
    "requests": "个请求",
    "sessions": "个会话",
    "workers": "个进程",
    "rows": "行",
    "repeats": "次重复",
    "steps": "次",
    "sessions/s": "会话/s",
    "conditions": "项",
}


def condition_name(name: str) -> Words:
    """The name; as it is where there is no other."""
    return Words(name, _NAMES.get(name, name))


def condition_asked(condition: Condition) -> Words:
    """What should have been."""
    return Words(condition.asked, _chinese(condition.asked, _ASKED) or condition.asked)


def condition_figures(condition: Condition) -> tuple[Words | None, Words | None]:
    """What was measured, and its limit, with enough digits to tell them apart; None for what there is not."""
    numbers = condition.measured, condition.limit
    texts = apart(*numbers, condition.unit)
    unit = _UNITS.get(condition.unit, condition.unit)
    words = [Words(text, text.replace(f" {condition.unit}", f" {unit}") if unit else text) for text in texts]
    return tuple(None if number is None else told for number, told in zip(numbers, words, strict=True))  # type: ignore[return-value]


def no_window(text: str) -> Words:
    """Why there is no steady window, or what to do about it; both where they are joined by a semicolon."""
    parts = [_chinese(part, _NO_WINDOW) or part for part in text.split("; ")]
    return Words(text, "；".join(parts))


def _chinese(text: str, patterns: Sequence[tuple[str, str]]) -> str | None:
    """The first pattern that is all of the text, with what it found; that may be a sentence of the same kind itself."""
    for pattern, chinese in patterns:
        found = re.fullmatch(pattern, text)
        if found is not None:
            told = chinese
            for place, part in enumerate(found.groups(), start=1):
                told = told.replace(f"\\{place}", _chinese(part, patterns) or load_words(part).zh)
            return told
    return None


def condition_failed(condition: Condition) -> Words:
    """What is so when it does not hold; of a condition that has no words here, its name."""
    said = CONDITIONS.get(condition.name)
    if said is None:
        return Words(f"Condition does not hold: {condition.name}", f"条件不满足：{condition.name}")
    return Words(said.english, said.chinese)


def condition_step(condition: Condition) -> Words | None:
    """What to do about it; None where the condition says nothing."""
    step, said = condition.next_step, CONDITIONS.get(condition.name)
    if not step:
        return None
    own = _chinese(step, _STEPS)
    if own is None and condition.name == "steady window":
        return no_window(step)
    if own is None and condition.ok is None:
        return same(step)  # it says why nothing is known, not what to do
    return Words(step, own or (step if said is None else said.next_step))


def condition_picture(condition: Condition) -> str:
    """Stem of the key of the picture that shows it; empty without one."""
    said = CONDITIONS.get(condition.name)
    return "" if said is None else said.picture
