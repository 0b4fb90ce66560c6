"""Data set ``sharegpt``: first question and answer of each conversation of a JSON array, as vLLM samples them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from inferometer.errors import DataError, UsageError
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload.files import (
    TextFile,
    broken_json,
    excerpt,
    fields_of,
    json_array,
    line_of,
    read_text,
)
from inferometer.workload.request import DatasetInfo, Request, Tokenizer

_FILE_HINT = (
    "people use ShareGPT_V3_unfiltered_cleaned_split.json, from anon8231489123/ShareGPT_Vicuna_unfiltered "
    "(huggingface.co) or gliang1001/ShareGPT_V3_unfiltered_cleaned_split (modelscope.cn)"
)


class _Turn(msgspec.Struct, frozen=True):
    value: str | None = None
    content: str | None = None


class _Row(msgspec.Struct, frozen=True):
    conversations: list[_Turn] | None = None
    conversation: list[_Turn] | None = None


@dataclass(frozen=True, slots=True)
class ShareGptLimits:
    """Rows outside are dropped; lengths in tokens, 0 switches a rule off (defaults: vLLM's)."""

    min_input: int = 4
    min_output: int = 4
    max_input: int = 1024
    max_total: int = 2048

    def reason(self, input_tokens: int, output_tokens: int, *, output_fixed: bool) -> str | None:
        """Why a row is dropped, None if it is kept. A fixed output length is not too short by itself."""
        if input_tokens < self.min_input:
            return "prompt_too_short"
        if not output_fixed and output_tokens < self.min_output:
            return "answer_too_short"
        if self.max_input and input_tokens > self.max_input:
            return "prompt_too_long"
        if self.max_total and input_tokens + output_tokens > self.max_total:
            return "total_too_long"
        return None


class ShareGptDataset:
    """Conversations of a ShareGPT file: the first turn is the prompt, the second the reference answer.

    Rows with fewer than two turns are left out, the rest is shuffled by seed, then the limits are applied row by
    row, so that only rows that are drawn are tokenised. Same seed, same order as vLLM's benchmark: both shuffle
    the rows of two turns with Python's generator.

    Args:
        file: the JSON array.
        tokenizer: counts prompt and answer tokens.
        limits: the rules that drop rows.
        output_len: tokens per answer when the user fixed it; else the reference answer's own length.

    Raises:
        DataError: broken JSON, a row without conversation, or no array at all.
    """

    def __init__(
        self,
        file: TextFile,
        tokenizer: Tokenizer,
        *,
        limits: ShareGptLimits | None = None,
        output_len: int | None = None,
    ) -> None:
        self._path, self._sha256, self._notes = file.path, file.sha256, file.notes
        self._tokenizer = tokenizer
        self._limits = limits or ShareGptLimits()
        self._output_len = output_len
        self._rows_total, self._pairs = _pairs(file)
        self._lengths: dict[int, tuple[int, int]] = {}
        self._reasons: dict[int, str] = {}

    def info(self) -> DatasetInfo:
        """Identity and size; drop counts by length are of the rows looked at so far."""
        dropped = Counter(self._reasons.values())
        if len(self._pairs) < self._rows_total:
            dropped["fewer_than_two_turns"] = self._rows_total - len(self._pairs)
        complete = len(self._lengths) + len(self._reasons) == len(self._pairs)
        return DatasetInfo(
            name="sharegpt",
            path=self._path,
            rows_total=self._rows_total,
            rows_usable=len(self._lengths) if complete else None,
            dropped=dict(dropped),
            sha256=self._sha256,
            tokenizer=self._tokenizer.name,
            tokenizer_exact=self._tokenizer.exact,
            notes=list(self._notes),
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """Usable rows, shuffled by ``seed``; ``salt`` changes nothing."""
        order = list(range(len(self._pairs)))
        random.Random(seed).shuffle(order)  # noqa: S311 - the generator that vLLM's order comes from
        for place in order:
            row, prompt, _ = self._pairs[place]
            lengths = self._usable_lengths(place)
            if lengths is not None:
                yield Request(
                    row=row, text=prompt, input_tokens_target=lengths[0], output_tokens_target=lengths[1]
                )

    def _usable_lengths(self, place: int) -> tuple[int, int] | None:
        if place in self._lengths or place in self._reasons:
            return self._lengths.get(place)
        _, prompt, answer = self._pairs[place]
        input_tokens = self._tokenizer.count(prompt)
        output_tokens = self._output_len or self._tokenizer.count(answer)
        fixed = self._output_len is not None
        reason = self._limits.reason(input_tokens, output_tokens, output_fixed=fixed)
        if not prompt:
            self._reasons[place] = "prompt_empty"
        elif not output_tokens:
            self._reasons[place] = "answer_empty"
        elif reason:
            self._reasons[place] = reason
        else:
            self._lengths[place] = (input_tokens, output_tokens)
        return self._lengths.get(place)


def open_sharegpt(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer) -> ShareGptDataset:
    """The data set ``sharegpt`` of ``workload.dataset_path``.

    Raises:
        UsageError: no path given.
        DataError: see ShareGptDataset.
    """
    workload = spec.workload
    if workload.dataset_path is None:
        raise UsageError(
            "data set 'sharegpt' needs a file: none was given", f"give --dataset-path FILE; {_FILE_HINT}"
        )
    limits = ShareGptLimits(
        workload.sharegpt_min_input,
        workload.sharegpt_min_output,
        workload.sharegpt_max_input,
        workload.sharegpt_max_total,
    )
    file = read_text(workload.dataset_path)
    return ShareGptDataset(file, tokenizer, limits=limits, output_len=point.output_len)


def _pairs(file: TextFile) -> tuple[int, list[tuple[int, str, str]]]:
    """Number of rows, and (row, first turn, second turn) of those with two turns."""
    if not file.data.lstrip().startswith(b"["):
        raise DataError(
            f"{file.path} is no JSON array: data set 'sharegpt' reads one array of conversations "
            f"(it starts with: {excerpt(file.data[:400])})",
            "for JSON lines with 'question' or 'prompt' use --dataset openqa; conversations, one a line, become "
            "an array by: jq -s . FILE > FILE.json",
        )
    decoder = msgspec.json.Decoder(_Row)
    elements = json_array(file)
    pairs: list[tuple[int, str, str]] = []
    for row, element in enumerate(elements):
        try:
            decoded = decoder.decode(element)
        except msgspec.DecodeError as error:
            raise broken_json(file, error, line_of(file, element) - 1, bytes(element)) from error
        turns = decoded.conversation if decoded.conversations is None else decoded.conversations
        if turns is None:
            raise _lacks(file, element, "no 'conversations' or 'conversation'")
        if len(turns) >= 2:
            pairs.append((row, _text(file, element, turns[0]), _text(file, element, turns[1])))
    return len(elements), pairs


def _text(file: TextFile, element: msgspec.Raw, turn: _Turn) -> str:
    text = turn.content if turn.value is None else turn.value
    if text is None:
        raise _lacks(file, element, "a turn without 'value' or 'content'")
    return text


def _lacks(file: TextFile, element: msgspec.Raw, what: str) -> DataError:
    hint = "questions in an array: jq -c '.[]' FILE > FILE.jsonl, then --dataset openqa"
    return DataError(
        f"{file.path}, line {line_of(file, element)}: {what} in this row (fields: {fields_of(element)}): "
        f"{excerpt(bytes(element))}",
        hint if "conversation" in what else "each turn needs the text under 'value' or 'content'",
    )
