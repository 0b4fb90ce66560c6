"""The largest batch of each case: as text, and as the two files that ``performance_maxbs`` leaves behind."""

from __future__ import annotations

import csv
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from inferometer.metrics.targets import BatchRound, MaxBatchResult
from inferometer.report.text import ABSENT, count, number, table

COLUMNS = (
    "Model",
    "Batchsize",
    "In_seq",
    "Out_seq",
    "Total time(s)",
    "Prefill all time(ms)",
    "Prefill average time(ms)",
    "Non-first token time(ms)",
    "Non-first token Throughput(Tokens/s)",
    "E2E Throughput(Tokens/s)",
    "Non-first token Throughput Average",
    "E2E Throughput Average",
)
"""Of both files; the two averages are blank but in the last row of the final file."""

_DECIMALS = 10


def write_max_batch(results: Sequence[MaxBatchResult], folder: Path, model: str) -> list[Path]:
    """Write ``MODEL_round_result.csv``, all probes, and ``MODEL_final_result.csv``, the best of each case.

    Rows, columns and blanks are those of modeltest's ``performance_maxbs``. Where a batch was measured more than once
    the round file has a row each, the final file their means. A case without an answer has no row in the final file.
    Total time is that of one round; the prefill columns are the largest and the mean TTFT, as an endpoint does not
    tell more.

    Args:
        results: one per case, in order.
        folder: an existing directory; files in it are replaced.
        model: name of the model; signs that do not belong into a file name become "-".
    """
    stem = re.sub(r"[^\w.-]+", "-", model).strip("-.") or "model"
    rounds = [[model, *_cells(result, entry), "", ""] for result in results for entry in result.rounds]
    best = [(result, result.best) for result in results if result.best is not None]
    final = [[model, *_cells(result, entry), "", ""] for result, entry in best]
    if final:
        figures = [(entry.non_first_token_throughput, entry.e2e_throughput) for _, entry in best]
        final[-1][-2:] = [_average(column) for column in zip(*figures, strict=True)]
    return [
        _write(folder / f"{stem}_round_result.csv", rounds),
        _write(folder / f"{stem}_final_result.csv", final),
    ]


def max_batch_lines(results: Sequence[MaxBatchResult]) -> list[str]:
    """The answer per case, what it rests on, and what is not sure about it."""
    several = len(results) > 1
    header = [
        "in",
        "out",
        "max batch",
        "open",
        "total s",
        "non-first ms",
        "non-first tok/s",
        "E2E tok/s",
        "probes",
    ]
    rows = [[*_row(result)] for result in results]
    lines = []
    for result in results:
        case = f"in {result.input_tokens}, out {result.output_tokens}: " if several else ""
        lines.append(f"{case}{_answer(result)}")
        said = [
            f"limited by {result.limited_by}",
            *result.why,
            *(f"not sure: {text}" for text in result.doubts),
        ]
        for text in said:
            lines += textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="    ")
    return [*lines, "", *table(header, rows, ">>>>>>>>>")]


def round_lines(result: MaxBatchResult) -> list[str]:
    """All probes of a case, in the order in which they were measured."""
    header = [
        "batch",
        "repeat",
        "met",
        "total s",
        "prefill ms",
        "non-first ms",
        "non-first tok/s",
        "E2E tok/s",
        "why",
    ]
    rows = [
        [
            str(entry.batch),
            str(entry.repeat),
            {True: "yes", False: "no", None: "?"}[entry.met],
            number(entry.total_time_s, 3),
            number(entry.prefill_all_ms),
            number(entry.non_first_token_ms),
            number(entry.non_first_token_throughput),
            number(entry.e2e_throughput),
            (entry.remark or "").split(":")[0],
        ]
        for entry in result.rounds
    ]
    return table(header, rows, ">>>>>>>><")


def _answer(result: MaxBatchResult) -> str:
    asked = f"{result.statistic} <= {result.limit_ms:g} ms"
    if result.batch is None:
        return f"no batch from {result.low} to {result.high} keeps {asked}"
    sure = "" if result.sure else " (not sure)"
    return f"max batch {result.batch}{sure} with {asked}"


def _row(result: MaxBatchResult) -> list[str]:
    best = result.best
    open_ = ABSENT if result.at_least is None else f"{result.at_least} to {result.at_most}"
    if result.at_least == result.at_most and result.batch is not None:
        open_ = "-"
    return [
        str(result.input_tokens),
        str(result.output_tokens),
        count(result.batch),
        open_,
        number(best.total_time_s if best else None, 3),
        number(best.non_first_token_ms if best else None),
        number(best.non_first_token_throughput if best else None),
        number(best.e2e_throughput if best else None),
        str(len(result.rounds)),
    ]


def _cells(result: MaxBatchResult, entry: BatchRound) -> list[str]:
    figures = (
        entry.total_time_s,
        entry.prefill_all_ms,
        entry.prefill_average_ms,
        entry.non_first_token_ms,
        entry.non_first_token_throughput,
        entry.e2e_throughput,
    )
    return [
        str(entry.batch),
        str(result.input_tokens),
        str(result.output_tokens),
        *(_cell(f) for f in figures),
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else str(round(value, _DECIMALS))


def _average(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _cell(sum(known) / len(known)) if known else ""


def _write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path
