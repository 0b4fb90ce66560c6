"""What was measured: model, server, load, and the command that does it again; and where it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.metrics.summary import RunSummary
from inferometer.record.tables import RunRecord
from inferometer.report.engine import engine_lines
from inferometer.report.page.model import Block, Code, Facts, Note
from inferometer.report.plots.terms import load_words
from inferometer.report.sections.command import command_of
from inferometer.report.sweep import titled
from inferometer.report.text import count
from inferometer.report.words import Words, same

_LOADS_SHOWN = 12
_Fact = tuple[Words, Words]


def measured(run: RunRecord, summary: RunSummary) -> tuple[Block, ...]:
    """Facts, and the command to copy; of an imported run what its files state."""
    blocks: list[Block] = [Facts(facts=tuple(_facts(run, summary)))]
    if run.meta.spec and summary.imported is None:
        text, secret = (run.meta.again, ()) if run.meta.again else command_of(run.meta.spec, _listens(run))
        about = Words("Measures it again", "再次测量的命令")
        if secret:
            flags = ", ".join(secret)
            about = Words(
                f"Measures it again; add {flags}, not stored", f"再次测量的命令；需补上未保存的 {flags}"
            )
        blocks.append(Code(text=text, about=about))
    return tuple(blocks)


def _facts(run: RunRecord, summary: RunSummary) -> Iterator[_Fact]:
    spec, server = run.meta.spec, run.meta.server
    yield Words("model", "模型"), same(summary.model)
    yield from _service(summary, server)
    if url := _of(spec, "endpoint", "url"):
        more = _of(spec, "endpoint", "more_url") or []
        yield Words("address", "地址"), same(", ".join([str(url), *map(str, more)]))
    if device := _of(spec, "simulation", "device"):
        yield Words("device", "设备"), Words(f"{device} (simulated)", f"{device}（模拟）")
    if devices := _of(spec, "sweep", "devices_served"):
        yield Words("devices that serve", "服务设备数"), same(str(devices))
    if nodes := _of(spec, "sweep", "nodes_served"):
        yield Words("nodes that serve", "服务节点数"), same(str(nodes))
    yield from _load(run, summary)
    if slo := _of(spec, "measure", "slo"):
        yield Words("SLO", "服务目标 SLO"), same(", ".join(map(str, slo)))
    yield Words("began", "开始时间"), same(summary.created_utc.replace("T", " ").replace("+00:00", " UTC"))
    yield Words("run", "运行编号"), same(summary.run_id)
    labels = [*([summary.label] if summary.label else []), *(f"{k}={v}" for k, v in summary.labels.items())]
    if labels:
        yield Words("labels", "标签"), same(", ".join(labels))


def _service(summary: RunSummary, server: Mapping[str, Any]) -> Iterator[_Fact]:
    if summary.imported is not None:
        told = " ".join(filter(None, (summary.imported.tool, summary.imported.version)))
        yield Words("measured by", "测量工具"), same(told)
    if summary.prediction is not None:
        yield Words("simulated service", "模拟的服务"), same(summary.prediction.what)
    elif summary.engine is not None:
        yield Words("engine", "推理引擎"), same(engine_lines(summary.engine)[0])
    elif server.get("server"):
        yield Words("server", "服务端"), same(str(server["server"]))
    if server.get("max_model_len"):
        yield Words("longest sequence", "最大序列长度"), same(f"{count(server['max_model_len'])} tokens")


def _load(run: RunRecord, summary: RunSummary) -> Iterator[_Fact]:
    names = titled([row.load for row in summary.rows])
    shown = [load_words(name) for name in names[:_LOADS_SHOWN]]
    rest = len(names) - len(shown)
    if shown:
        repeats = max(len(row.points) for row in summary.rows)
        times = Words(f", {repeats} times each", f"，各 {repeats} 次") if repeats > 1 else Words("", "")
        yield (
            Words("loads", "负载"),
            Words(
                "; ".join(name.en for name in shown) + (f"; {rest} more" if rest else "") + times.en,
                "；".join(name.zh for name in shown) + (f"；另有 {rest} 个" if rest else "") + times.zh,
            ),
        )
    data = run.tables[-1].point.dataset if run.tables else {}
    if data.get("name"):
        yield (
            Words("data", "数据集"),
            same(" ".join(str(part) for part in (data["name"], _shown(data.get("path"))) if part)),
        )
    lengths = sorted(
        {(row.load.get("input_len"), row.load.get("output_len")) for row in summary.rows}, key=repr
    )
    known = [f"{a or '?'} → {b or '?'}" for a, b in lengths if a is not None or b is not None]
    if known:
        yield Words("tokens in → out", "输入 → 输出 token"), same(", ".join(known[:_LOADS_SHOWN]))
    if run.meta.spec and summary.imported is None:
        stream = _of(run.meta.spec, "sampling", "stream")
        yield Words("streamed", "流式输出"), Words("yes", "是") if stream is not False else Words("no", "否")


def environment(run: RunRecord, summary: RunSummary) -> tuple[Block, ...]:
    """Where the client ran, what the server said of itself, the engine's command, and notes of the run."""
    facts = [(same(name), same(_text(value))) for name, value in run.meta.environment.items()]
    server = {name: value for name, value in run.meta.server.items() if value not in (None, [], {}, "")}
    facts += [
        (Words(f"server: {name}", f"服务端：{name}"), same(_text(value))) for name, value in server.items()
    ]
    blocks: list[Block] = [Facts(facts=tuple(facts))] if facts else []
    if summary.engine is not None:
        lines = engine_lines(summary.engine)
        blocks.append(
            Code(text="\n".join(lines), about=Words("The engine, as it was started", "引擎的启动方式"))
        )
    if summary.prediction is not None:
        blocks.append(Facts(facts=tuple(_simulated(summary.prediction.limits))))
        blocks += [Note(text=same(note)) for note in summary.prediction.notes]
    told = dict.fromkeys([*summary.notes, *(summary.imported.notes if summary.imported else [])])
    blocks += [Note(text=same(note)) for note in told]
    if summary.imported is not None:
        stated = [(same(name), same(_text(value))) for name, value in summary.imported.stated.items()]
        hashes = summary.imported.files.items()
        files = [(Words(f"file {name}", f"文件 {name}"), same(f"sha256 {digest}")) for name, digest in hashes]
        blocks.append(Facts(facts=(*stated, *files)))
    return tuple(blocks)


def _simulated(limits: Mapping[str, Any]) -> Iterator[_Fact]:
    for name, value in limits.items():
        if isinstance(value, (str, int, float)) and value != "":
            yield Words(f"simulated: {name}", f"模拟：{name}"), same(_text(value))


def _listens(run: RunRecord) -> bool:
    """Whether a launched server listens where ``--url`` says: one of no known engine that is told no port."""
    engine, command = run.meta.engine, str(_of(run.meta.spec, "launch", "command"))
    return engine is not None and engine.name == "command" and "{port}" not in command


def _shown(path: Any) -> Any:
    """A data file that comes with the program by its name: where it is installed says nothing."""
    _, ours, name = str(path).rpartition("inferometer/workload/data/")
    return name if ours else path


def _of(spec: Mapping[str, Any], part: str, name: str) -> Any:
    return dict(spec.get(part) or {}).get(name)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    return str(value)
