"""APIs that stream one token an event: Text Generation Inference, MindIE and MindSpore Serving."""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.client.dialects.base import JsonDialect, read_json
from inferometer.client.dialects.dialect import Delta, Reader, Usage
from inferometer.client.dialects.reading import NOTHING, ended, failed, number, part, piece, text_of


class TokenEventsDialect(JsonDialect):
    """TGI's ``/generate_stream`` and MindIE's ``/infer``: ``token``, and at the end ``generated_text`` and ``details``.

    Source: TGI's OpenAPI document; MindIE's "MindIE native text/streaming inference API".
    """

    def reader(self, echoed: int = 0) -> Reader:
        """Knows what was said, since the last event may bring the rest without a token."""
        return _TokenReader(self)

    def meaning(self, value: Any) -> Delta:
        """What one event says by its token."""
        if part(value, "error"):
            return failed(value)
        token, details = part(value, "token"), part(value, "details")
        text = "" if part(token, "special") is True else text_of(part(token, "text"))
        delta = piece(text, _finish(details), _usage(details), _ids(token))
        return delta._replace(last=True) if isinstance(part(value, "generated_text"), str) else delta

    def whole(self, value: Any) -> Delta:
        """What a whole reply says; TGI's may be a list of one."""
        value = value[0] if isinstance(value, list) and value else value
        if part(value, "error"):
            return failed(value)
        text = part(value, "generated_text")
        if not isinstance(text, str):
            raise ValueError("reply is JSON, but has no 'generated_text'")
        details = part(value, "details")
        return piece(text, _finish(details), _usage(details))


class _TokenReader:
    def __init__(self, dialect: TokenEventsDialect) -> None:
        self._dialect = dialect
        self._said = ""

    def event(self, data: bytes, name: bytes) -> Delta:
        delta = read_json(data, self._dialect)
        self._said += delta.text
        if not delta.last:
            return delta
        value = msgspec.json.decode(data)
        whole = text_of(part(value, "generated_text"))
        if not whole.startswith(self._said) or whole == self._said:
            return delta
        text = delta.text + whole[len(self._said) :]
        return piece(text, delta.finish_reason, delta.usage, _ids(part(value, "token")))._replace(last=True)


def _ids(token: Any) -> int | None:
    """Number of token ids in an event."""
    ids = part(token, "id")
    return len(ids) if isinstance(ids, list) else None if ids is None else 1


def _finish(details: Any) -> str | None:
    return ended(part(details, "finish_reason"))


def _usage(details: Any) -> Usage | None:
    if not isinstance(details, dict):
        return None
    return Usage(number(part(details, "input_length")), number(part(details, "generated_tokens")))


class MindsporeDialect(JsonDialect):
    """MindSpore Serving: each event holds a list ``data`` of one object with ``tokens`` and its ``generated_text``.

    Source: MindSpore Serving's README and client (mindspore-lab), and its wire as llm-toolbox recorded it.
    """

    def meaning(self, value: Any) -> Delta:
        """What one event says."""
        if part(value, "error"):
            return failed(part(value, "error"))
        one = part(value, "data", 0) or value
        token = part(one, "tokens") or part(one, "token")
        if isinstance(token, list):
            token = part(token, 0)
        text = text_of(part(token, "text") if token is not None else part(one, "generated_text"))
        special = part(token, "special") is True
        finish = _finish(part(one, "details"))
        return NOTHING if special and not finish else piece("" if special else text, finish, tokens=1)

    def whole(self, value: Any) -> Delta:
        """What a whole reply says."""
        value = value[0] if isinstance(value, list) and value else value
        one = part(value, "data", 0) or value
        if part(value, "error"):
            return failed(part(value, "error"))
        text = part(one, "generated_text")
        if not isinstance(text, str):
            raise ValueError("reply is JSON, but has no 'generated_text'")
        return piece(text, _finish(part(one, "details")), _usage(part(one, "details")))


TGI = TokenEventsDialect("tgi")
MINDIE = TokenEventsDialect("mindie")
MINDSPORE = MindsporeDialect("mindspore")
