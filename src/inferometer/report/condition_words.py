"""What conditions of the verdict mean when they do not hold, in both languages; and the picture that shows each."""

from __future__ import annotations

from typing import Final, NamedTuple

from inferometer.metrics.verdict import Condition
from inferometer.report.words import Words


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


def condition_failed(condition: Condition) -> Words:
    """What is so when it does not hold; of a condition that has no words here, its name."""
    said = CONDITIONS.get(condition.name)
    if said is None:
        return Words(f"Condition does not hold: {condition.name}", f"条件不满足：{condition.name}")
    return Words(said.english, said.chinese)


def condition_step(condition: Condition) -> Words | None:
    """What to do about it; None where the condition says nothing."""
    if not condition.next_step:
        return None
    said = CONDITIONS.get(condition.name)
    return Words(condition.next_step, condition.next_step if said is None else said.next_step)


def condition_picture(condition: Condition) -> str:
    """Stem of the key of the picture that shows it; empty without one."""
    said = CONDITIONS.get(condition.name)
    return "" if said is None else said.picture
