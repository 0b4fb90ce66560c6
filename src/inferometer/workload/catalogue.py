"""What each data set name reads: the text behind the documents, and the hints of error messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from inferometer.workload.catalogue_entries import ENTRIES, CatalogueEntry, Text

Language = Literal["en", "zh"]


class _Words(NamedTuple):
    title: str
    names: str
    nav: str
    intro: str
    table_head: tuple[str, str, str, str]
    chapters: tuple[tuple[str, str], ...]
    source: str
    licence: str
    none: str


_NAV = ("getting-started", "measuring", "metrics", "verdict", "calibration", "run-folder", "simulated-server")
_READING = """- **Rows**: one JSON array, JSON lines, CSV or TSV with a header line, or Parquet; told by content
  and ending.
- **Text**: UTF-8, UTF-16 with byte order mark, or GB18030; `.gz` and `.zst` are unpacked (zstandard needs
  `pip install 'inferometer[zstd]'` before Python 3.14).
- **Directory**: all files of it with a known ending, by name, as one data set.
- **Standard input**: `--dataset-path -`.
- **Order**: that of the file, but `sharegpt`, which is shuffled by `--seed`.
- **Length of answers**: `--max-tokens` or `--output-len` where given; else the row's own, where the table says that
  it has one; else answers end by themselves, at 2,048 tokens at the latest.
- **Filters**: `--min-prompt-length` and `--max-prompt-length` drop rows before they are sent; dropped
  rows are counted."""
_READING_ZH = """- **行**：一个 JSON 数组、JSON Lines、带表头的 CSV 或 TSV、Parquet；按内容和扩展名识别。
- **文本**：UTF-8、带 BOM 的 UTF-16 或 GB18030；`.gz` 与 `.zst` 会自动解压（Python 3.14 之前，zstandard 需要
  `pip install 'inferometer[zstd]'`）。
- **目录**：其中所有已知扩展名的文件，按文件名顺序合成一个数据集。
- **标准输入**：`--dataset-path -`。
- **顺序**：按文件顺序；只有 `sharegpt` 按 `--seed` 打乱。
- **回答长度**：给了 `--max-tokens` 或 `--output-len` 就用它；否则，下表注明行内自带长度的用行内长度；
  再否则由模型自行结束，最多 2,048 个 token。
- **过滤**：`--min-prompt-length` 与 `--max-prompt-length` 在发送前去掉过短、过长的行；去掉的行会计数。"""
_COMMANDS = """```console
$ inferometer run --url http://127.0.0.1:8000 --dataset custom --dataset-path rows.csv \\
    --column prompt=question output=answer --max-concurrency 8 --num-prompts 100
$ inferometer run --url http://127.0.0.1:8000 --dataset mtbench --dataset-path question.jsonl \\
    --category writing coding --max-tokens 256 --max-concurrency 4 --num-prompts 20
```"""
_BAD = """A row that cannot be used stops the run before anything is sent: the message names file, line, rule and value.
`--on-bad-row skip` leaves such rows out and counts them by reason, in the report and in `run.json` (`skipped`).

Bad rows are: broken JSON, a missing or empty prompt, a field of the wrong type, a table row with too many or too few
fields, and with `--max-model-len N` a prompt that does not fit into N tokens together with its answer. A filter does
not make a row bad. A file that is broken as a whole, such as an array that is cut off, always
stops the run."""
_BAD_ZH = """不能用的行会让运行在发送任何请求之前停止：错误信息给出文件、行号、规则和内容。
`--on-bad-row skip` 跳过这些行，并按原因计数，写入报告和 `run.json`（`skipped`）。

坏行包括：JSON 损坏、缺少提示词或提示词为空、字段类型不对、表格行的字段数不对；
给了 `--max-model-len N` 时，还包括提示词加回答超过 N 个 token 的行。被长度过滤去掉的行不算坏行。
整个文件损坏（例如数组被截断）时，运行总会停止。"""
_HUB = """A file of a hub is fetched only when `--dataset-path` names one, into the hub library's own cache. `HF_HOME`,
`HF_HUB_CACHE`, `HF_ENDPOINT` (a mirror), `HF_HUB_OFFLINE`, `HF_TOKEN` and `MODELSCOPE_CACHE` are obeyed. Without
network or library the message names the file to fetch by hand.

```text
hf://OWNER/NAME[@REVISION]/PATH/FILE           pip install 'inferometer[hf]'
modelscope://OWNER/NAME[@REVISION]/PATH/FILE   pip install 'inferometer[modelscope]'

--dataset openqa --dataset-path modelscope://AI-ModelScope/HC3-Chinese/open_qa.jsonl
```"""
_HUB_ZH = _HUB.replace(
    _HUB[: _HUB.index("\n\n```")],
    """只有当 `--dataset-path` 写明时，才会从平台下载文件，并放进平台库自己的缓存。遵守 `HF_HOME`、`HF_HUB_CACHE`、
`HF_ENDPOINT`（镜像）、`HF_HUB_OFFLINE`、`HF_TOKEN` 和 `MODELSCOPE_CACHE`。
没有网络或没有安装库时，错误信息会说明该手工下载哪个文件。""",
)

_WORDS = {
    "en": _Words(
        title="Data sets",
        names="The names",
        nav=" · ".join(
            ["[README](../../README.md)"]
            + [f"[{name.replace('-', ' ').capitalize()}]({name}.md)" for name in _NAV]
        ),
        intro="`--dataset NAME` says how rows are read, `--dataset-path` where they are. Nothing is bundled but the "
        "demo's questions.",
        table_head=("name", "what", "prompt", "length of answers"),
        chapters=(
            ("How files are read", f"{_READING}\n\n{_COMMANDS}"),
            ("Bad rows", _BAD),
            ("Hugging Face and ModelScope", _HUB),
        ),
        source="Source",
        licence="Licence",
        none="see the source",
    ),
    "zh": _Words(
        title="数据集",
        names="名称一览",
        nav="[README](../../README.zh.md) · [快速上手](getting-started.md) · [测量](measuring.md) · "
        "[指标](metrics.md) · [结论](verdict.md) · [校准](calibration.md) · [运行目录](run-folder.md) · "
        "[模拟服务](simulated-server.md)",
        intro="`--dataset NAME` 说明如何读取各行，`--dataset-path` 说明文件在哪里。除演示用的问题外，不附带任何数据。",
        table_head=("名称", "内容", "提示词", "回答长度"),
        chapters=(
            ("如何读取文件", f"{_READING_ZH}\n\n{_COMMANDS}"),
            ("坏行", _BAD_ZH),
            ("Hugging Face 与 ModelScope", _HUB_ZH),
        ),
        source="来源",
        licence="许可",
        none="见来源页面",
    ),
}


def datasets_markdown(language: Language) -> str:
    """The document on data sets, whole; ``docs/LANGUAGE/datasets.md`` holds it."""
    words = _WORDS[language]
    parts = [f"# {words.title}", words.nav, words.intro]
    for title, text in words.chapters:
        parts += [f"## {title}", text]
    parts += [f"## {words.names}", "\n".join(_table(words, language))]
    for entry in ENTRIES:
        parts += [f"### {entry.name}", *_section(entry, words, language)]
    return "\n\n".join(parts) + "\n"


def where_to_get(name: str) -> str:
    """Where people get the file of a data set, for an error message; empty for names of other packages."""
    sources = next((entry.sources for entry in ENTRIES if entry.name == name), ())
    files = [f"{label} ({url})" for label, url in sources]
    return f"people use {' or '.join(files)}" if files else ""


def _table(words: _Words, language: Language) -> Iterator[str]:
    yield f"| {' | '.join(words.table_head)} |"
    yield "| --- | --- | --- | --- |"
    for entry in ENTRIES:
        cells = (_in(text, language) for text in (entry.what, entry.prompt, entry.answer))
        yield f"| [`{entry.name}`](#{entry.name}) | {' | '.join(cells)} |"


def _section(entry: CatalogueEntry, words: _Words, language: Language) -> Iterator[str]:
    kind = "json" if entry.example.lstrip()[:1] in ("{", "[") else "text"
    if entry.example:
        yield f"```{kind}\n{entry.example}\n```"
    lines = [f"- {_in(rule, language)}" for rule in entry.rules]
    colon = "：" if language == "zh" else ": "
    if entry.sources:
        links = ", ".join(f"[{label}]({url})" for label, url in entry.sources)
        lines.append(f"- {words.source}{colon}{links}.")
        licence = words.none if entry.licence is None else _in(entry.licence, language)
        lines.append(f"- {words.licence}{colon}{licence}.")
    if lines:
        yield "\n".join(lines)


def _in(text: Text, language: Language) -> str:
    return text.en if language == "en" else text.zh
