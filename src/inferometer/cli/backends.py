"""The table of capabilities for a person: on the terminal and as a page of the documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Literal

from inferometer.client.dialects import TEMPLATE
from inferometer.client.dialects.capabilities import CAPABILITIES
from inferometer.client.dialects.capability import COUNTS, OPTIONS, Capability
from inferometer.errors import UsageError

Language = Literal["en", "zh"]
_NONE = "-"


def render_backends(name: str | None) -> str:
    """All dialects, one a line, or all that is known of one.

    Raises:
        UsageError: there is no dialect of that name.
    """
    if name is None:
        lines = [f"{'backend':<20}{'path':<52}API"]
        lines += [f"{one.name:<20}{one.path:<52}{one.title}" for one in CAPABILITIES.values()]
        lines.append(f"{'template':<20}{'as its file says':<52}any other API of JSON: --template FILE.yaml")
        return "\n".join([*lines, "", "inferometer config backends NAME tells more"])
    if name == TEMPLATE:
        return f"{_TEXTS['en']['template text'].replace('`', '')}\n\n{EXAMPLE}\n\n{_keys()}"
    if name not in CAPABILITIES:
        raise UsageError(f"no table for backend {name!r}", f"known: {', '.join([*CAPABILITIES, TEMPLATE])}")
    found = CAPABILITIES[name]
    rows = [("API", found.title), ("path", _paths(found)), ("stream", _stream(found))]
    rows += [
        ("prompt", _pairs(found.prompt.items())),
        ("model", found.model or ("path" if found.names_model else _NONE)),
    ]
    rows += [(_flag(option), found.asks.get(option, "cannot be asked")) for option in OPTIONS]
    rows += [(count.replace("_", " "), found.reports.get(count, "not reported")) for count in COUNTS]
    rows += [("key", f"{found.key[0]}: {found.key[1]}KEY"), ("count tokens", found.tokenize or _NONE)]
    rows += [("empty cache", found.flush_cache or _NONE), ("source", found.source)]
    return "\n".join(f"{key:<24}{value}" for key, value in rows)


def _keys() -> str:
    """What the keys of a template mean, as lines of a terminal."""
    return "\n".join(wrap(_TEXTS["en"]["template keys"].replace("`", ""), 100))


def _paths(found: Capability) -> str:
    more = [f"whole: {found.path_whole}"] if found.path_whole else []
    more += [f"token ids: {found.path_token_ids}"] if found.path_token_ids else []
    return f"{found.path}{f' ({chr(44).join(more)})' if more else ''}"


def _stream(found: Capability) -> str:
    if not found.streams:
        return "none: whole answers"
    return f"{found.framing}, text: {found.text}, end: {found.end or 'that of the HTTP message'}"


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in items)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "# Backends",
        "nav": "[README](../../README.md) · [Measuring](measuring.md) · [Metrics](metrics.md) · [Run "
        "folder](run-folder.md)",
        "intro": "`--backend NAME` says how the server is spoken to. This page is made from the table in the "
        "program:",
        "ask": "An option that an API has no name for is refused before anything is sent. `--extra-body` "
        "reaches every "
        "other field of it. A path pasted with `--url` chooses the backend, where only one API has it.",
        "paths": "## Paths and streams",
        "paths head": "| backend | API | path | stream | text of an event | end |",
        "asks": "## What can be asked for",
        "asks head": "| backend | " + " | ".join(f"`{_flag(name)}`" for name in OPTIONS) + " |",
        "reports": "## What is reported",
        "reports head": "| backend | " + " | ".join(name.replace("_", " ") for name in COUNTS) + " |",
        "more": "## Prompts, servers and sources",
        "more head": "| backend | prompt | count tokens | empty cache | source |",
        "notes": "## How answers are read",
        "cumulative": "- Where each event repeats all that came before, output is what it adds; an event that adds "
        "nothing is "
        "no output, and a character that is not complete is waited for.",
        "tokens": "- Tokens of a chunk: its token ids, or how far the server's count has grown; unknown where "
        "neither is sent.",
        "end": "- A stream whose API marks no end is complete when the HTTP message is; one that marks it is "
        "truncated "
        "without the mark.",
        "cached": "- anthropic counts cached input apart; here the input is the sum. sglang before 0.5 says only "
        "how many "
        "steps verified drafts: accepted = output tokens - steps.",
        "finish": "- Finish reasons are kept in OpenAI's words: `length`, `stop`, `tool_calls`; others as they are.",
        "template": "## Any other API",
        "template text": "`--backend template --template FILE.yaml` drives an API of JSON over POST "
        "that a file describes:",
        "template keys": "`body` is a Jinja template (sandboxed) that may use `prompt`, `messages`, `token_ids`, "
        "`model`, `stream` and the options (`max_tokens`, `min_tokens`, `temperature`, `top_p`, `top_k`, `stop`, "
        "`ignore_eos`), which are `none` when they were not asked for; an option that it does not use is refused. "
        "Write `| tojson` after each text. `path`, `body` and `text` are needed; `--url` is the address before "
        "`path`. `text`, `reasoning`, `finish_reason`, `error`, `id` and the counts of `usage` (`input`, `output`, "
        "`reasoning`, `cached`, `accepted_draft`) are paths to fields of an event, as `choices[0].text`. "
        "`framing` is sse (the default), ndjson, nul, json-array or json (no stream); `text_is` delta (the default) "
        "or cumulative; `done` the data of the last event, a field that is true there, or `field=value`.",
        "none": "none: whole answers",
        "http": "that of the HTTP message",
    },
    "zh": {
        "title": "# 后端",
        "nav": "[README](../../README.zh.md) · [测量](measuring.md) · [指标](metrics.md) · "
        "[运行目录](run-folder.md)",
        "intro": "`--backend 名称` 决定用哪种 API 与服务对话。本页由程序里的表生成：",
        "ask": "某个 API 没有对应字段的选项，会在发送之前被拒绝；其他字段都可以用 `--extra-body` 给出。"
        "`--url` 里粘贴的路径若只属于一种 API，就由它决定后端。",
        "paths": "## 路径与流",
        "paths head": "| 后端 | API | 路径 | 流 | 事件的文本 | 结束标志 |",
        "asks": "## 可以要求什么",
        "asks head": "| 后端 | " + " | ".join(f"`{_flag(name)}`" for name in OPTIONS) + " |",
        "reports": "## 服务报告什么",
        "reports head": "| 后端 | 输入 token | 输出 token | 思考 token | 缓存 token | 被接受的草稿 token |",
        "more": "## 提示、服务与出处",
        "more head": "| 后端 | 提示 | 数 token | 清缓存 | 出处 |",
        "notes": "## 如何读取回答",
        "cumulative": "- 事件重复之前全部文本时，只有新增的部分算输出；"
        "没有新增的事件不算输出；不完整的字符会等到完整为止。",
        "tokens": "- 一块的 token 数：它带的 token id 个数，或服务计数的增量；两者都没有时为未知。",
        "end": "- API 没有结束标志时，HTTP 消息完整即回答完整；有标志而没有收到的，记为 truncated。",
        "cached": "- anthropic 把缓存的输入分开计数，这里的输入是总和。0.5 之前的 sglang 只给出校验步数："
        "被接受 = 输出 token - 步数。",
        "finish": "- 结束原因统一用 OpenAI 的词：`length`、`stop`、`tool_calls`；其他词原样保留。",
        "template": "## 其他任何 API",
        "template text": "`--backend template --template FILE.yaml` 可以驱动用文件描述的、以 POST 传 JSON 的 API：",
        "template keys": "`body` 是 Jinja 模板（沙箱），可以使用 `prompt`、`messages`、`token_ids`、`model`、`stream` "
        "和各选项，"
        "（`max_tokens`、`min_tokens`、`temperature`、`top_p`、`top_k`、`stop`、`ignore_eos`），"
        "没有要求的选项为 `none`；模板没有用到的选项会被拒绝。每个文本后面写 `| tojson`。"
        "`path`、`body`、`text` 必须给出；`--url` 是 `path` 之前的地址。"
        "`text`、`reasoning`、`finish_reason`、`error`、`id` 与 `usage` 的各计数"
        "（`input`、`output`、`reasoning`、`cached`、`accepted_draft`）是事件里字段的路径，如 `choices[0].text`。"
        "`framing` 是 sse（默认）、ndjson、nul、json-array 或 json（不流式）；"
        "`text_is` 是 delta（默认）或 cumulative；`done` 是最后一个事件的数据、一个为真的字段，或 `字段=值`。",
        "none": "无：整体回答",
        "http": "HTTP 消息的结束",
    },
}
EXAMPLE = """path: /api/{model}/ask
headers: {X-Client: inferometer}
body: |
  {"question": {{ prompt | tojson }}, "limit": {{ max_tokens }}
   {% if temperature is not none %}, "heat": {{ temperature }}{% endif %}}
framing: ndjson
text: result.delta
text_is: delta
finish_reason: result.why
error: problem.text
done: result.last
usage: {input: counts.in, output: counts.out}"""


def backends_markdown(language: Language) -> str:
    """The page of the documents in one language."""
    words = _TEXTS[language]
    rows = list(CAPABILITIES.values())
    paths = [[_code(one.path), _framing(one, words), one.text, _end(one, words)] for one in rows]
    titled = [[one.title, *cells] for one, cells in zip(rows, paths, strict=True)]
    asks = [[_code(one.asks.get(option, "")) for option in OPTIONS] for one in rows]
    reports = [[_code(one.reports.get(count, "")) for count in COUNTS] for one in rows]
    more = [[_prompt(one), _code(one.tokenize), _code(one.flush_cache), one.source] for one in rows]
    commands = "```console\n$ inferometer config backends\n$ inferometer config backends sglang\n```"
    parts = [words["title"], words["nav"], words["intro"], commands, words["ask"]]
    for key, cells in (("paths", titled), ("asks", asks), ("reports", reports), ("more", more)):
        parts += [words[key], _table(words[f"{key} head"], rows, cells)]
    parts += [
        words["notes"],
        "\n".join(words[key] for key in ("cumulative", "tokens", "end", "cached", "finish")),
    ]
    parts += [words["template"], words["template text"], f"```yaml\n{EXAMPLE}\n```", words["template keys"]]
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Sequence[Capability], cells: Sequence[Sequence[str]]) -> str:
    rule = "|" + " --- |" * (head.count("|") - 1)
    body = [f"| {' | '.join([one.name, *line])} |" for one, line in zip(rows, cells, strict=True)]
    return "\n".join([head, rule, *body])


def _code(text: str) -> str:
    return f"`{text}`" if text else _NONE


def _framing(one: Capability, words: dict[str, str]) -> str:
    return one.framing if one.streams else words["none"]


def _end(one: Capability, words: dict[str, str]) -> str:
    return _code(one.end) if one.end else words["http"]


def _prompt(one: Capability) -> str:
    return ", ".join(_code(field) for field in dict.fromkeys(one.prompt.values()))
