"""Probabilities of tokens in the shapes of OpenAI's APIs.

Source: vLLM 0.32: CompletionLogProbs, ChatCompletionLogProbs, Logprob; OpenAI API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.simulator.server.generation import Prompt
from inferometer.simulator.server.text import Scored

_PROMPT_LOGPROB = -2.0  # of every token of a prompt, as there is no model that could tell them apart


def chat_logprobs(tokens: Sequence[list[Scored]]) -> dict[str, Any]:
    """Of a chat: each token with its bytes and its alternatives.

    Args:
        tokens: each with the alternatives after it; of as many as were asked for the token itself is the first.
    """
    content = []
    for chosen, *others in tokens:
        shown = [chosen, *others][: len(others)]
        content.append({**_token(chosen), "top_logprobs": [_token(one) for one in shown]})
    return {"content": content}


def completion_logprobs(
    prompt: Sequence[str], tokens: Sequence[list[Scored]], others: int, offset: int
) -> dict[str, Any]:
    """Of a completion: four lists of the same length.

    Args:
        prompt: tokens of an echo; the first has no probability.
        tokens: each with its alternatives after it.
        others: how many alternatives were asked for.
        offset: characters of the text before the first token.
    """
    names = [*prompt, *(one[0].text for one in tokens)]
    scores: list[float | None] = [None if at == 0 else _PROMPT_LOGPROB for at in range(len(prompt))]
    scores += [one[0].logprob for one in tokens]
    tops: list[dict[str, float] | None] = [None if at == 0 else {name: _PROMPT_LOGPROB}
                                           for at, name in enumerate(prompt)]  # fmt: skip
    tops += [{each.text: each.logprob for each in one[: others + 1]} for one in tokens]
    places = []
    for name in names:
        places.append(offset)
        offset += len(name)
    return {"text_offset": places, "token_logprobs": scores, "tokens": names, "top_logprobs": tops}


def prompt_logprobs(prompt: Prompt) -> list[dict[str, Any] | None]:
    """Of a prompt, as vLLM gives them: by id, and nothing for the first token. Each was the likeliest one."""
    tokens = zip(prompt.ids()[1:], prompt.pieces()[1:], strict=True)
    return [
        None,
        *(
            {str(one): {"logprob": _PROMPT_LOGPROB, "rank": 1, "decoded_token": piece}}
            for one, piece in tokens
        ),
    ]


def _token(one: Scored) -> dict[str, Any]:
    return {"token": one.text, "logprob": one.logprob, "bytes": list(one.text.encode())}
