"""The conformance suite of engines sees what it is made to see."""

from typing import Any

import msgspec
import pytest

from inferometer.engines.adapters.lmdeploy import LMDeploy
from inferometer.engines.adapters.sglang import SGLang
from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.engine import CommandLine, Facts, Said, Settings, Trouble
from inferometer.engines.findings import Finding
from inferometer.testing.engines import check_engine, check_facts, check_trouble

CASES = [Settings(model="M")]


class Trusting(LMDeploy):
    flags = tuple(flag for flag in LMDeploy.flags if flag.field != "trust_remote_code")


class Deaf(VLLM):
    flags = tuple(flag for flag in VLLM.flags if flag.field != "dtype")


class Forgetful(VLLM):
    def settings(self, argv: tuple[str, ...]) -> Settings | None:
        found = super().settings(argv)
        return found and msgspec.structs.replace(found, port=8000)


class Restless(VLLM):
    calls = 0

    def command(self, settings: Settings) -> CommandLine:
        Restless.calls += 1
        return msgspec.structs.replace(super().command(settings), cwd=str(Restless.calls))


class Greedy(VLLM):
    programs = (*VLLM.programs, ("ls",))


class Inventive(VLLM):
    def findings(self, said: Said) -> Any:
        yield Finding("version", "1.0", "nowhere")


class Nervous(VLLM):
    def trouble(self, log: str) -> Trouble | None:
        return Trouble(line="INFO", message="something", next_step="do something")


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        (Deaf(), "passes over dtype"),
        (Forgetful(), "read back is"),
        (Restless(), "is not"),
        (Greedy(), "for its own"),
        (Inventive(), "facts from nothing"),
        (Nervous(), "sees trouble"),
        (Trusting(), "passes over trust_remote_code"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_contract_is_found(engine: VLLM, says: str) -> None:
    cases = [Settings(model="M", port=8123)]
    with pytest.raises(AssertionError, match=says):
        check_engine(engine, cases)


def test_one_that_is_whole_passes() -> None:
    check_engine(SGLang(), CASES, ["sglang serve --model-path M"])
    with pytest.raises(AssertionError, match="does not recognise"):
        check_engine(SGLang(), CASES, ["vllm serve M"])


def test_a_fact_without_source_and_words_that_are_not_filled_in_are_found() -> None:
    with pytest.raises(AssertionError, match="with sources"):
        check_facts(Facts(engine="x", version="1"))
    with pytest.raises(AssertionError, match="is 0"):
        check_facts(Facts(engine="x", kv_blocks=0, sources={"kv_blocks": "log"}))
    with pytest.raises(AssertionError, match="not filled in"):
        check_trouble(Trouble(line="a", message="{what} failed", next_step="do"), "a")
    with pytest.raises(AssertionError, match="is not in the log"):
        check_trouble(Trouble(line="b", message="it failed", next_step="do"), "a")
