"""Data set ``openqa``: JSON lines with a question each, sent in the order of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from inferometer.errors import DataError, UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.files import TextFile, excerpt, fields_of, json_lines, read_text
from inferometer.workload.request import DatasetInfo, Request, Tokenizer


class _Row(msgspec.Struct, frozen=True):
    question: str | None = None
    prompt: str | None = None


class OpenqaDataset:
    """Questions of a JSONL file (field ``question``, or ``prompt``), stripped of outer white space.

    As EvalScope does: no shuffle, and the length limits count tokens when the tokenizer is the model's own, else
    characters. The answer length is the load point's, since the file has no reference that servers reproduce.

    Args:
        file: the JSONL text.
        tokenizer: counts prompt tokens.
        shortest: shortest prompt kept, in tokens or characters; 0 = no limit.
        longest: longest prompt kept, in tokens or characters; 0 = no limit.
        output_len: tokens per answer, absent = unknown.

    Raises:
        DataError: a broken line, a row without question, or no JSONL at all.
    """

    def __init__(
        self,
        file: TextFile,
        tokenizer: Tokenizer,
        *,
        shortest: int = 0,
        longest: int = 0,
        output_len: int | None = None,
    ) -> None:
        self._file = file
        self._tokenizer = tokenizer
        self._shortest = shortest
        self._longest = longest
        self._output_len = output_len
        self._prompts = _prompts(file)
        self._tokens: dict[int, int] = {}
        self._reasons: dict[int, str] = {}

    def info(self) -> DatasetInfo:
        """Identity and size; drop counts are of the rows looked at so far."""
        complete = len(self._tokens) + len(self._reasons) == len(self._prompts)
        return DatasetInfo(
            name="openqa",
            path=self._file.path,
            rows_total=len(self._prompts),
            rows_usable=len(self._tokens) if complete else None,
            dropped=dict(Counter(self._reasons.values())),
            sha256=self._file.sha256,
            tokenizer=self._tokenizer.name,
            tokenizer_exact=self._tokenizer.exact,
            notes=list(self._file.notes),
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Usable rows in file order, whatever seed and salt are."""
        for row, prompt in enumerate(self._prompts):
            tokens = self._usable_tokens(row, prompt)
            if tokens is not None:
                yield Request(
                    row=row,
                    text=prompt,
                    input_tokens_target=tokens,
                    output_tokens_target=self._output_len,
                )

    def _usable_tokens(self, row: int, prompt: str) -> int | None:
        if row in self._tokens or row in self._reasons:
            return self._tokens.get(row)
        tokens = self._tokenizer.count(prompt)
        length = tokens if self._tokenizer.exact else len(prompt)
        if not prompt:
            self._reasons[row] = "prompt_empty"
        elif length < self._shortest:
            self._reasons[row] = "prompt_too_short"
        elif self._longest and length > self._longest:
            self._reasons[row] = "prompt_too_long"
        else:
            self._tokens[row] = tokens
        return self._tokens.get(row)


def open_openqa(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> OpenqaDataset:
    """The data set ``openqa`` of ``workload.dataset_path``.

    Raises:
        UsageError: no path given.
        DataError: see OpenqaDataset.
    """
    workload = spec.workload
    if workload.dataset_path is None:
        raise UsageError(
            "data set 'openqa' needs a file: none was given",
            "give --dataset-path FILE.jsonl with a 'question' or 'prompt' a line; people use open_qa.jsonl of "
            "AI-ModelScope/HC3-Chinese (modelscope.cn) or GSM8K's test.jsonl (github.com/openai/grade-school-math)",
        )
    return OpenqaDataset(
        read_text(workload.dataset_path),
        tokenizer,
        shortest=workload.min_prompt_length,
        longest=workload.max_prompt_length,
        output_len=point.output_len,
    )


def _prompts(file: TextFile) -> list[str]:
    if file.data.lstrip().startswith(b"["):
        raise DataError(
            f"{file.path} is a JSON array, and data set 'openqa' reads one JSON object a line",
            "use --dataset sharegpt if its rows have 'conversations', else convert: jq -c '.[]' FILE > FILE.jsonl",
        )
    prompts: list[str] = []
    for number, line, row in json_lines(file, _Row):
        text = row.prompt if row.question is None else row.question
        if text is None:
            raise DataError(
                f"{file.path}, line {number}: no 'question' or 'prompt' in this row (fields: {fields_of(line)}): "
                f"{excerpt(line)}",
                "rename the field that holds the prompt",
            )
        prompts.append(text.strip())
    return prompts
