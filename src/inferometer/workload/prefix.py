"""Shared prefixes: which prompts have one, and which one, as a controlled part of the experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from inferometer.errors import DataError
from inferometer.spec import LoadPoint, Prefix, RunSpec, derive_seed
from inferometer.workload.exact import Maker, Prompt, TextMaker, make_maker
from inferometer.workload.request import Dataset, DatasetInfo, Request, Tokenizer

_BLOCK = 64
_LOOKED_AT = 1000


class Prefixes:
    """The shared prefixes of a load point.

    Their texts follow from seed and salt, so that each load point has its own and finds none of them in a cache;
    which prompt has which follows from the seed alone.

    Args:
        part: how many, how long, how popular.
        maker: makes them.

    Raises:
        DataError: a prefix of this length cannot tell so many groups apart.
    """

    def __init__(self, part: Prefix, maker: Maker) -> None:
        self.tokens = part.prefix_len
        self.share = part.prefix_share
        self._part = part
        self._maker = maker
        if maker.symbols ** min(maker.head_len, max(1, part.prefix_len - 1)) < part.prefix_groups:
            raise DataError(
                f"--prefix-groups {part.prefix_groups} different prefixes of {part.prefix_len} tokens do not exist",
                "give a longer --prefix-len or fewer groups",
            )

    def leads(self, seed: int, salt: str) -> list[Prompt]:
        """The prefixes, by group."""
        rng = generator(derive_seed(seed, "prefix text"), salt)
        first = int(rng.integers(self._maker.symbols))
        return [
            self._maker.lead(first + group, self.tokens, rng) for group in range(self._part.prefix_groups)
        ]

    def groups(self, seed: int) -> Iterator[int | None]:
        """The group of each prompt, without end; None = it has no shared prefix.

        Of any 64 prompts in a row, counted from the first, the share that has a prefix is as asked, to within one.
        """
        rng = np.random.default_rng(derive_seed(seed, "prefix"))
        weights = np.ones(self._part.prefix_groups)
        if self._part.prefix_popularity == "zipf":
            weights = np.arange(1, len(weights) + 1, dtype=float) ** -self._part.prefix_zipf
        weights /= weights.sum()
        block = 0
        while True:
            before, after = (int(_BLOCK * self.share * n + 1e-9) for n in (block, block + 1))
            has = rng.permutation(_BLOCK) < after - before
            drawn = rng.choice(len(weights), size=_BLOCK, p=weights)
            yield from (int(group) if one else None for group, one in zip(drawn, has, strict=True))
            block += 1

    def hit_share(self, mean_tokens: float) -> float:
        """Expected share of prompt tokens that an ideal cache serves, once it has seen every prefix.

        Args:
            mean_tokens: of a whole prompt, prefix included.
        """
        return self.share * self.tokens / mean_tokens


class PrefixedDataset:
    """Puts shared prefixes before the prompts of another data set, as a first paragraph.

    Args:
        dataset: gives the prompts; these get longer by the prefix.
        prefixes: what is put before them.
        tokenizer: counts prompts that have no length of their own.
    """

    def __init__(self, dataset: Dataset, prefixes: Prefixes, tokenizer: Tokenizer) -> None:
        self._dataset = dataset
        self._prefixes = prefixes
        self._tokenizer = tokenizer
        self._mean: float | None = None

    def info(self) -> DatasetInfo:
        """That of the data set, with the share of tokens that a prefix cache may serve."""
        if self._mean is None:
            lengths = [self._tokens(request) for request in islice(self._dataset.requests(0, ""), _LOOKED_AT)]
            self._mean = sum(lengths) / max(1, len(lengths))
        whole = self._mean + self._prefixes.share * self._prefixes.tokens
        return msgspec.structs.replace(
            self._dataset.info(), expected_hit_share=self._prefixes.hit_share(whole) if whole else None
        )

    def requests(self, seed: int, salt: str) -> Iterator[Request]:
        """The data set's requests in their order; ``group`` says which prefix each has."""
        leads = self._prefixes.leads(seed, salt)
        for request, group in zip(
            self._dataset.requests(seed, salt), self._prefixes.groups(seed), strict=False
        ):
            yield request if group is None else self._with(request, group, str(leads[group]))

    def _with(self, request: Request, group: int, lead: str) -> Request:
        # What was counted is the prompt without its prefix: the whole is counted anew when it is sent.
        changes: dict[str, Any] = {"group": group, "input_tokens_counted": None}
        if request.input_tokens_target is not None:
            changes["input_tokens_target"] = request.input_tokens_target + self._prefixes.tokens
        messages = _led(request.messages, lead)
        if request.text is not None:
            changes["text"] = lead + request.text
        elif messages is not None:
            changes["messages"] = messages
        elif request.body is not None and (body := _led_body(request.body, lead)) is not None:
            changes["body"] = body
        else:
            where = "" if request.row is None else f", row {request.row}"
            raise DataError(
                f"data set {self._dataset.info().name}{where}: --prefix-len puts text before a prompt, and this "
                "request is no plain text",
                "drop --prefix-len, or use rows of text or of messages",
            )
        return msgspec.structs.replace(request, **changes)

    def _tokens(self, request: Request) -> int:
        if request.input_tokens_target is not None:
            return request.input_tokens_target
        texts = [
            request.text or "",
            *(str(message.get("content") or "") for message in request.messages or []),
        ]
        return sum(self._tokenizer.count(text) for text in texts if text)


def _led(messages: Any, lead: str) -> list[dict[str, Any]] | None:
    """Chat messages whose first one begins with ``lead``; None where it is no text."""
    if not isinstance(messages, list) or not messages or not isinstance(messages[0].get("content"), str):
        return None
    first = messages[0]
    return [{**first, "content": lead + first["content"]}, *messages[1:]]


def _led_body(body: dict[str, Any], lead: str) -> dict[str, Any] | None:
    """A request body whose prompt or first message begins with ``lead``; None where it has no text."""
    if isinstance(body.get("prompt"), str):
        return {**body, "prompt": lead + body["prompt"]}
    messages = _led(body.get("messages"), lead)
    return None if messages is None else {**body, "messages": messages}


def with_prefixes(dataset: Dataset, spec: RunSpec, tokenizer: Tokenizer) -> Dataset:
    """``dataset`` with the shared prefixes that ``spec`` asks for; itself without them, and for random data.

    Random prompts hold their prefix inside their own length, so the data set ``random`` sees to it itself.

    Raises:
        DataError: see Prefixes.
    """
    if not spec.prefix.prefix_len or spec.workload.dataset == "random":
        return dataset
    return PrefixedDataset(dataset, Prefixes(spec.prefix, TextMaker(tokenizer, "words")), tokenizer)


def prefix_texts(spec: RunSpec, point: LoadPoint, tokenizer: Tokenizer, salt: str) -> list[Request]:
    """One request for each shared prefix of a load point, for a cache that is to be warm; empty without prefixes.

    Args:
        spec: ``prefix`` and, for random data, ``workload.text``.
        point: its seed decides the texts.
        tokenizer: the one that the data set was opened with.
        salt: the one that the load point's requests are drawn with.
    """
    if not spec.prefix.prefix_len:
        return []
    kind = spec.workload.text if spec.workload.dataset == "random" else "words"
    leads = Prefixes(spec.prefix, make_maker(tokenizer, kind)).leads(point.seed, salt)
    return [
        Request(
            text=lead if isinstance(lead, str) else None,
            token_ids=lead if isinstance(lead, list) else None,
            input_tokens_target=spec.prefix.prefix_len,
            output_tokens_target=1,
            group=group,
        )
        for group, lead in enumerate(leads)
    ]


def generator(seed: int, salt: str) -> np.random.Generator:
    """Random numbers that follow from seed and salt."""
    digest = hashlib.sha256(f"{seed}\0{salt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
