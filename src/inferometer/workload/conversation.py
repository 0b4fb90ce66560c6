"""Conversations as data sets write them, in one form: chat messages with role and content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.workload.rows import BadRowError

Message = dict[str, Any]

# What speakers are called, and their roles in a chat.
_ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "function",
}


def text_of(content: object) -> str:
    """The text of a message: itself, or the text parts of a list; empty for everything else."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def text_of_body(body: dict[str, Any]) -> str:
    """The text of the prompt of a whole request body."""
    messages = body.get("messages")
    if isinstance(messages, list):
        return "\n".join(text_of(m.get("content")) for m in messages if isinstance(m, dict))
    return text_of(body.get("prompt"))


def as_messages(turns: object) -> list[Message]:
    """Messages of a list of turns in any of the forms in use.

    A turn is ``{"role", "content"}`` (kept with all its fields), ``{"from", "value"}``, ``{"human", "assistant"}``
    (two messages), or plain text, which alternates between user and assistant.

    Raises:
        BadRowError: no such list, or a turn in another form.
    """
    if not isinstance(turns, list) or not turns:
        raise BadRowError("no_messages", f"a list of messages is expected, not {_kind(turns)}")
    messages: list[Message] = []
    for turn in turns:
        if isinstance(turn, str):
            messages.append({"role": "assistant" if len(messages) % 2 else "user", "content": turn})
        elif isinstance(turn, dict) and "human" in turn:
            messages += _pair(turn)
        elif isinstance(turn, dict):
            messages.append(_message(turn))
        else:
            raise BadRowError("no_messages", f"a message is an object or text, not {_kind(turn)}")
    return messages


def exchanges(messages: Sequence[Message]) -> tuple[list[Message], list[tuple[Any, str | None]]]:
    """System messages at the beginning, then pairs of a question and its recorded answer.

    An answer before the first question is left out. A question may be without an answer; the pairs end at the first
    message of neither side, at a second answer to one question, and at an empty question.
    """
    rest = list(messages)
    system: list[Message] = []
    while rest and rest[0]["role"] != "user":
        first = rest.pop(0)
        if first["role"] in ("system", "developer"):
            system.append(first)
    pairs: list[tuple[Any, str | None]] = []
    while rest and rest[0]["role"] == "user" and text_of(rest[0]["content"]).strip():
        question = rest.pop(0)["content"]
        if not rest or rest[0]["role"] != "assistant":
            pairs.append((question, None))
            continue
        pairs.append((question, text_of(rest.pop(0)["content"])))
    return system, pairs


def _message(turn: dict[str, Any]) -> Message:
    name = turn.get("role", turn.get("from"))
    role = _ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise BadRowError(
            "unknown_role",
            f"a message by {name!r}: expected one of {', '.join(_ROLES)} under 'role' or 'from'",
            "rename the speaker",
        )
    if "role" in turn and ("content" in turn or "tool_calls" in turn):
        content = turn.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, str | list | None) or not all(isinstance(part, dict) for part in parts):
            raise BadRowError("no_messages", "the content of a message is neither text nor a list of parts")
        return {**turn, "role": role, "content": content}
    for key in ("value", "content", "text"):
        if isinstance(turn.get(key), str):
            return {"role": role, "content": turn[key]}
    raise BadRowError(
        "no_messages",
        "a message without text under 'content' or 'value'",
        "each message needs its text there",
    )


def _pair(turn: dict[str, Any]) -> list[Message]:
    human, assistant = turn["human"], turn.get("assistant")
    if not isinstance(human, str) or not isinstance(assistant, str | None):
        raise BadRowError("no_messages", f"'human' and 'assistant' are texts, not {_kind(human)}")
    question = {"role": "user", "content": human}
    return [question] if assistant is None else [question, {"role": "assistant", "content": assistant}]


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return f"an empty {type(value).__name__}" if value in ([], {}, "") else type(value).__name__
