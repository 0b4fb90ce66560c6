"""Every built-in dialect against answers of servers, cut anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.client.dialects import DIALECTS, TEMPLATE
from inferometer.testing import dialects
from inferometer.testing.dialects import Recording, check_answer, check_dialect, read_recordings

STREAMS = Path(__file__).parents[2] / "data/streams"
NAMES = [name for name in DIALECTS.names() if name != TEMPLATE]


@cache
def recordings(name: str) -> list[Recording]:
    return read_recordings(STREAMS / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_keeps_its_contract(name: str) -> None:
    assert recordings(name)
    check_dialect(DIALECTS.get(name), recordings(name))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_an_answer_says_the_same_however_it_is_cut(name: str, data: Any) -> None:
    recording = data.draw(st.sampled_from(recordings(name)))
    cuts = data.draw(st.lists(st.integers(1, max(1, len(recording.answer))), max_size=12))
    check_answer(DIALECTS.get(name), recording, cuts)


def test_a_broken_dialect_is_found() -> None:
    class TakesRolesForOutput(type(DIALECTS.get("openai-chat"))):  # type: ignore[misc]
        events = None

        def event(self, data: bytes, name: bytes) -> Any:
            delta = super().event(data, name)
            return delta._replace(kind=0) if delta.kind == 3 else delta

    with pytest.raises(AssertionError, match="output chunks, not"):
        check_dialect(TakesRolesForOutput("openai-chat"), recordings("openai-chat"))


def test_a_body_with_more_than_was_asked_for_is_found() -> None:
    class Pushy(type(DIALECTS.get("tgi"))):  # type: ignore[misc]
        def asked(self, request: Any, options: Any) -> dict[str, Any]:
            return {**super().asked(request, options), "min_tokens": options.min_tokens}

    with pytest.raises(AssertionError, match="changes the body"):
        dialects.check_bodies(Pushy("tgi"))


def test_a_recording_that_is_none_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"source": "x"}')
    with pytest.raises(ValueError, match=r"bad\.json"):
        read_recordings(tmp_path)


def test_a_dialect_that_falls_over_a_strange_value_is_found() -> None:
    class Trusting(type(DIALECTS.get("anthropic"))):  # type: ignore[misc]
        def meaning(self, value: Any) -> Any:
            {value.get("delta", {}).get("type") if isinstance(value, dict) else None}
            return super().meaning(value)

    with pytest.raises((AttributeError, TypeError)):
        check_dialect(Trusting("anthropic"), recordings("anthropic"))


def test_a_stream_is_one_under_any_type() -> None:
    recording = next(one for one in recordings("sglang") if one.name == "stream")
    untyped = msgspec.structs.replace(recording, content_type="text/plain")
    record, _ = dialects.decode(DIALECTS.get("sglang"), untyped, untyped.answer, [])
    assert (record.status, record.streamed) == ("ok", True)


def test_an_end_without_a_reason_has_none() -> None:
    recording = next(one for one in recordings("tgi") if one.name == "stream")
    answer = b'data: {"token": {"id": 1, "text": "a"}, "generated_text": "a", "details": null}\n\n'
    record, _ = dialects.decode(DIALECTS.get("tgi"), recording, answer, [])
    assert (record.status, record.finish_reason) == ("ok", None)
