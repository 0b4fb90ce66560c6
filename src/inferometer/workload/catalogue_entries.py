"""The catalogue of data sets: one entry a name, in English and Chinese."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str


class CatalogueEntry(NamedTuple):
    """One data set name.

    Attributes:
        what: what is in it.
        prompt: what of a row is sent.
        answer: where the length of answers comes from.
        example: one row.
        rules: one sentence each, without a bullet.
        sources: label and address of files in use.
        licence: as the source states it; None = not checked.
    """

    name: str
    what: Text
    prompt: Text
    answer: Text
    example: str = ""
    rules: tuple[Text, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    licence: Text | None = None


_HF = "https://huggingface.co/datasets"
_MS = "https://modelscope.cn/datasets"
_GITHUB = "https://github.com"

_BY_ITSELF = Text("ends by itself", "自行结束")
_OPTIONS = Text("as the options say", "由选项决定")
_RECORDED = Text("recorded", "按记录")
_TURNS = Text("first of `turns`; all with `--multi-turn`", "`turns` 的第一轮；`--multi-turn` 时为全部")
_CATEGORY = Text(
    "`--category NAME ...` keeps only these; an unknown one is refused with the list of those in the file.",
    "`--category NAME ...` 只保留这些类别；文件里没有的类别会被拒绝，并列出已有类别。",
)
_TURN_RULE = Text(
    "With `--multi-turn` a row is a session; later turns repeat the server's own answers.",
    "用 `--multi-turn` 时，一行是一个会话；后续轮次带上服务自己的回答。",
)
_TRACE = Text("See the options `--trace-...`.", "见选项 `--trace-...`。")

ENTRIES = (
    CatalogueEntry(
        "random",
        Text("made on the spot", "现场生成"),
        Text("words of exact length", "长度精确的词"),
        _OPTIONS,
        rules=(
            Text(
                "No file: `--input-len` and `--output-len`, or a distribution of lengths.",
                "不需要文件：用 `--input-len` 与 `--output-len`，或给出长度分布。",
            ),
        ),
    ),
    CatalogueEntry(
        "sharegpt",
        Text("recorded conversations", "真实对话"),
        Text("first turn; all with `--multi-turn`", "第一轮；`--multi-turn` 时为全部"),
        Text("of the recorded answer", "按记录的回答"),
        '{"id": "1", "conversations": [{"from": "human", "value": "Why is the sky blue?"}, '
        '{"from": "gpt", "value": "Because of scattering."}]}',
        (
            Text(
                "The list is under `conversations` or `conversation`; a turn is `from` and `value`, "
                "`role` and "
                "`content`, or `human` and `assistant` together.",
                "列表在 `conversations` 或 `conversation` 下；一轮写成 `from` 与 `value`、`role` 与 "
                "`content`，或合写的 "
                "`human` 与 `assistant`。",
            ),
            Text(
                "Rows with fewer than two turns are dropped; then prompts below 4 or above 1,024 tokens, "
                "answers below "
                "4, and sums above 2,048 (`--sharegpt-...`): the rules and the order of vLLM's benchmark.",
                "去掉少于两轮的行；再去掉提示词少于 4 或多于 1,024 个 token、回答少于 4、两者之和超过 "
                "2,048 的行"
                "（`--sharegpt-...`）：与 vLLM 基准测试的规则和顺序相同。",
            ),
            Text(
                "With `--multi-turn`: system text, then questions and answers for as long as the two "
                "sides take turns, "
                "at most `--turns N`. The limits look at the first question and answer.",
                "用 `--multi-turn` 时：先是系统消息，然后是轮流的问与答，最多 `--turns N` 轮。"
                "长度规则只看第一问与第一答。",
            ),
        ),
        (
            (
                "ShareGPT_V3_unfiltered_cleaned_split.json on Hugging Face",
                f"{_HF}/anon8231489123/ShareGPT_Vicuna_unfiltered",
            ),
            ("on ModelScope", f"{_MS}/gliang1001/ShareGPT_V3_unfiltered_cleaned_split"),
            ("common_zh_70k.jsonl, common_en_70k.jsonl", f"{_MS}/swift/sharegpt"),
        ),
        Text(
            "contested: texts of users and of ChatGPT, collected by others",
            "有争议：内容来自用户和 ChatGPT，由他人收集",
        ),
    ),
    CatalogueEntry(
        "openqa",
        Text("single questions", "单个问题"),
        Text("`question`, else `prompt`", "`question`，否则 `prompt`"),
        _BY_ITSELF,
        '{"question": "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts in total?", '
        '"answer": "3"}',
        (
            Text(
                "White space around the question is cut; other fields are not looked at.",
                "去掉问题首尾的空白；不看其他字段。",
            ),
        ),
        (
            ("open_qa.jsonl of HC3-Chinese", f"{_MS}/AI-ModelScope/HC3-Chinese"),
            ("GSM8K", f"{_GITHUB}/openai/grade-school-math"),
        ),
        Text("GSM8K: MIT; HC3: see its page", "GSM8K：MIT；HC3：见其页面"),
    ),
    CatalogueEntry(
        "alpaca",
        Text("instructions with answers", "带答案的指令"),
        Text("`instruction`, and `input` on the next line", "`instruction`，下一行是 `input`"),
        Text("of `output`", "按 `output`"),
        '{"instruction": "Sort the list.", "input": "3 1 2", "output": "1 2 3"}',
        (
            Text(
                "No template is put around it. Rows with an empty `output` are dropped, unless the "
                "length of answers is "
                "given.",
                "不套任何模板。`output` 为空的行会被去掉，除非给定了回答长度。",
            ),
        ),
        (("alpaca_data.json", f"{_GITHUB}/tatsu-lab/stanford_alpaca"), ("alpaca", f"{_HF}/tatsu-lab/alpaca")),
        Text("CC BY-NC 4.0", "CC BY-NC 4.0"),
    ),
    CatalogueEntry(
        "codefuse",
        Text("programming tasks (Evol-Instruct)", "编程任务（Evol-Instruct）"),
        Text(
            "`instruction`, `input`, `question` or `prompt`", "`instruction`、`input`、`question` 或 `prompt`"
        ),
        _BY_ITSELF,
        '{"input": "Write a function that sorts a list.", "output": "def sort(items): ..."}',
        (
            Text(
                "Read as it was downloaded: no field has to be renamed. `instruction` and `input` "
                "together are two lines; "
                "of `chat_rounds` the first question is sent.",
                "下载后直接读取，不需要改字段名。`instruction` 与 `input` 同时存在时合成两行；"
                "`chat_rounds` 取第一个问题。",
            ),
        ),
        (
            ("data.json of Codefuse-Evol-Instruct-Clean", f"{_MS}/Banksy235/Codefuse-Evol-Instruct-Clean"),
            ("Evol-instruction-66k", f"{_HF}/codefuse-ai/Evol-instruction-66k"),
        ),
        Text("Evol-instruction-66k: CC BY-NC-SA 4.0", "Evol-instruction-66k：CC BY-NC-SA 4.0"),
    ),
    CatalogueEntry(
        "longalpaca",
        Text("long documents with a question", "长文档加问题"),
        Text("`instruction`", "`instruction`"),
        _BY_ITSELF,
        '{"instruction": "Below is a paper. ...", "output": "...", "file": "..."}',
        (
            Text(
                "Prompts are mostly above 10,000 tokens: `--max-prompt-length` keeps what your model can "
                "take.",
                "提示词大多超过 10,000 个 token：用 `--max-prompt-length` 保留模型放得下的。",
            ),
        ),
        (("LongAlpaca-12k.json", f"{_MS}/AI-ModelScope/LongAlpaca-12k"),),
    ),
    CatalogueEntry(
        "humaneval",
        Text("code to be completed", "代码补全"),
        Text("`prompt`, with its white space", "`prompt`，保留空白"),
        _BY_ITSELF,
        '{"task_id": "HumanEval/0", "prompt": "def add(a, b):\\n    \\"\\"\\"Sum.\\"\\"\\"\\n"}',
        sources=(("HumanEval.jsonl.gz", f"{_GITHUB}/openai/human-eval"),),
        licence=Text("MIT", "MIT"),
    ),
    CatalogueEntry(
        "mtbench",
        Text("80 tasks of two turns", "80 个两轮任务"),
        _TURNS,
        _BY_ITSELF,
        '{"question_id": 81, "category": "writing", "turns": ["Write a letter.", "Shorten it."]}',
        (
            _CATEGORY,
            _TURN_RULE,
            Text(
                "The list may also be under `prompt`, as in tables of Hugging Face.",
                "列表也可以在 `prompt` 下，如 Hugging Face 的表格。",
            ),
        ),
        (("question.jsonl", f"{_GITHUB}/lm-sys/FastChat"),),
    ),
    CatalogueEntry(
        "specbench",
        Text("tasks for speculative decoding", "投机解码任务"),
        _TURNS,
        _BY_ITSELF,
        '{"question_id": 1, "category": "translation", "turns": ["Translate into English: Guten Tag."]}',
        (
            _CATEGORY,
            _TURN_RULE,
            Text(
                "How many drafted tokens are accepted depends on the text: random words say nothing "
                "about it.",
                "草稿 token 的接受率取决于文本内容：随机词说明不了问题。",
            ),
        ),
        (("question.jsonl", f"{_GITHUB}/hemingkx/Spec-Bench"),),
    ),
    CatalogueEntry(
        "custom",
        Text("your own rows", "自己的数据"),
        Text("a column, messages, or a whole body", "一列、消息列表，或整个请求体"),
        Text("of a column, where there is one", "按某一列（若有）"),
        '{"question": "Why?", "answer": "Because.", "output_tokens": 20}',
        (
            Text(
                "`--column ROLE=NAME ...` says what is what; roles: `prompt`, `messages` or `body`, and "
                "`system`, "
                "`output`, `output_tokens`, `model`. Only the named columns are taken, and each row must "
                "have them.",
                "`--column ROLE=NAME ...` 指明各列含义；角色有 `prompt`、`messages`、`body` 三选一，以及 "
                "`system`、`output`、"
                "`output_tokens`、`model`。只取指明的列，每行都必须有。",
            ),
            Text(
                "Without it the usual names are looked for in the first row (`prompt`, `instruction`, "
                "`question`, `query`, "
                "`input`, `text`, `content`, `context`; `messages`, `conversations`; `output`, `answer`, "
                "`response`; "
                "`output_tokens`, `max_tokens` and others); the run notes which were taken.",
                "不给时，在第一行里找常见列名（`prompt`、`instruction`、`question`、`query`、`input`、"
                "`text`、`content`、`context`；"
                "`messages`、`conversations`；`output`、`answer`、`response`；`output_tokens`、"
                "`max_tokens` 等），并在运行记录里注明。",
            ),
            Text(
                "A list of messages that ends with an answer is sent without it; the answer gives the "
                "length. With "
                "`--multi-turn` the list is a session.",
                "以回答结尾的消息列表，发送时去掉该回答，用它的长度作为回答长度。用 `--multi-turn` 时，"
                "列表是一个会话。",
            ),
            Text(
                "A row with messages and request fields such as `temperature`, or a column `body`, is a "
                "whole request: its "
                "fields win over the command line's.",
                "带有消息和 `temperature` 等请求字段的行，或 `body` 列，是整个请求：其中的字段优先于命令行。",
            ),
        ),
    ),
    CatalogueEntry(
        "line",
        Text("one prompt a line", "一行一个提示词"),
        Text("the line", "整行"),
        _BY_ITSELF,
        "Why is the sky blue?",
        (
            Text(
                "A line that is a JSON array of messages is sent as messages; one that is a JSON object "
                "with `messages` or "
                "`prompt` is sent as a whole request body.",
                "内容为 JSON 消息数组的行按消息发送；内容为带 `messages` 或 `prompt` 的 JSON "
                "对象的行作为整个请求体发送。",
            ),
            Text("Blank lines are no rows.", "空行不算行。"),
        ),
    ),
    CatalogueEntry(
        "mooncake",
        Text("request trace with shared blocks", "带共享块的请求轨迹"),
        _RECORDED,
        _RECORDED,
        '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48]}',
        (_TRACE,),
        (("Mooncake FAST25 traces", f"{_GITHUB}/kvcache-ai/Mooncake"),),
        Text("Apache-2.0", "Apache-2.0"),
    ),
    CatalogueEntry(
        "bailian",
        Text("request trace with shared blocks", "带共享块的请求轨迹"),
        _RECORDED,
        _RECORDED,
        '{"chat_id": 1, "timestamp": 0.5, "input_length": 40, "output_length": 9, "hash_ids": [1, 2, 3]}',
        (_TRACE,),
        (("Qwen Bailian traces", f"{_GITHUB}/alibaba-edu/qwen-bailian-usagetraces-anon"),),
    ),
    CatalogueEntry(
        "burstgpt",
        Text("request trace", "请求轨迹"),
        _RECORDED,
        _RECORDED,
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log "
        "Type\n5,ChatGPT,472,18,490,Conversation log",
        (_TRACE,),
        (("BurstGPT", f"{_GITHUB}/HPMLL/BurstGPT"),),
    ),
    CatalogueEntry(
        "azure",
        Text("request trace", "请求轨迹"),
        _RECORDED,
        _RECORDED,
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44",
        (_TRACE,),
        (("Azure LLM inference traces", f"{_GITHUB}/Azure/AzurePublicDataset"),),
    ),
    CatalogueEntry(
        "trace",
        Text("a trace of your own", "自己的轨迹"),
        _RECORDED,
        _RECORDED,
        '{"timestamp_s": 0.5, "input_tokens": 300, "output_tokens": 40}',
        (_TRACE,),
    ),
)
