"""The command lines with which the bench measures other tools say the same load when they are translated."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from exchange.compat_flags import PEERS, flags_of, unknown
from inferometer.cli.parse import parse_run
from inferometer.exchange.compat.convert import convert
from inferometer.exchange.compat.tools import TOOLS as TABLES
from inferometer.spec import merge
from peers.cases import CASES, INPUT_TOKENS, Case
from peers.tools import TOOLS, NotOfferedError, Place, Tool

PLACE = Place(Path("/bin"), "http://127.0.0.1:8000", "m", Path("/tokenizer"), Path("/out"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(
    "tool", [tool for tool in TOOLS if tool.name != "inferometer"], ids=lambda tool: tool.name
)
def test_the_load_is_the_same(tool: Tool, case: Case) -> None:
    try:
        line = shlex.join(tool.command(PLACE, case))
    except NotOfferedError:
        pytest.skip(f"{tool.title} has no such load")
    (found,) = convert(line)
    verb, *flags = found.argv
    spec = merge([parse_run(list(flags), verb).flags]).spec
    assert verb == "run"
    assert spec.endpoint.url.removesuffix("/v1/chat/completions") == PLACE.url
    assert spec.endpoint.model == "m"
    assert spec.load.max_concurrency == ((case.streams,) if case.streams else None)
    assert spec.load.request_rate == (None if case.streams else (case.rate,))
    assert spec.load.num_prompts == (case.requests,)
    assert spec.workload.input_len == (INPUT_TOKENS,)
    assert spec.workload.output_len == (case.tokens,)
    assert spec.workload.tokenizer == "/tokenizer"
    assert spec.load.warmup == 0
    ignores = spec.sampling.ignore_eos or spec.sampling.extra_body.get("ignore_eos")
    assert ignores is True


def test_flags_are_read_from_pages_of_help_and_not_from_their_sentences() -> None:
    by = {peer.name: peer.line for peer in PEERS}
    deep = " " * 34
    page = f"options:\n  -n N [N ...], --number N\n{deep}as --parallel says\n  --stream, --no-stream\n"
    assert flags_of(page, by["evalscope"]) == {"-n", "--number", "--stream", "--no-stream"}
    click = f"  --api-base TEXT                 The URL.\n{deep}--help-all\n  --help   Show it.\n"
    assert flags_of(click, by["genai-bench"]) == {"--api-base"}
    cyclopts = f"│ *  --model-names --model -m      Names, as --url\n│{deep}--x said\n│ --url -u  Where\n"
    assert flags_of(cyclopts, by["aiperf"]) == {"--model-names", "--model", "-m", "--url", "-u"}


def test_a_flag_that_no_table_has_is_found() -> None:
    assert unknown({"--num-prompts", "--warp-factor"}, TABLES.get("vllm")) == ["--warp-factor"]
