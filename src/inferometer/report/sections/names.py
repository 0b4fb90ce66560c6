"""Names of the verdict's conditions in both languages; in files and on the console they are English."""

from __future__ import annotations

from typing import Final

from inferometer.report.words import Words, same

_CHINESE: Final = {
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
}


def condition_name(name: str) -> Words:
    """The name; as it is where there is no other."""
    return Words(name, _CHINESE[name]) if name in _CHINESE else same(name)
