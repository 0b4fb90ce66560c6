"""The tokenizer of a tiny model: byte-level BPE trained on the bundled prose, the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inferometer.errors import UsageError

END_OF_TEXT = "<|endoftext|>"
TURN_BEGIN = "<|im_start|>"
TURN_END = "<|im_end|>"
CONTROL = (END_OF_TEXT, TURN_BEGIN, TURN_END)
"""Tokens that no text has; their numbers are their places here."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# Text only: rooms beside each other do not import each other.
_PROSE = Path(__file__).parents[1] / "workload" / "data"
_FILES = ("english.txt", "chinese.txt", "questions.jsonl")


class TinyTokenizer(NamedTuple):
    """A trained tokenizer.

    Attributes:
        json: the text of its ``tokenizer.json``.
    """

    json: str

    @property
    def pieces(self) -> list[str]:
        """The text of each token by number, in the alphabet of byte-level BPE; control tokens as they are."""
        return sorted(self._model["vocab"], key=self._model["vocab"].__getitem__)

    @property
    def merges(self) -> list[str]:
        """The merges in order, each as two pieces with a space between."""
        # Older versions of the library write the text, newer ones the pair.
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in self._model["merges"]]

    @property
    def _model(self) -> Mapping[str, Any]:
        whole = msgspec.json.decode(self.json, type=dict[str, Any])
        return msgspec.convert(whole["model"], dict[str, Any])


@lru_cache(maxsize=4)
def train(vocab_tokens: int) -> TinyTokenizer:
    """A tokenizer of exactly so many tokens; about half a second.

    Raises:
        UsageError: more tokens than the bundled prose has pieces for, or fewer than there are bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers  # takes 50 ms

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(CONTROL)
    if vocab_tokens < least:
        raise UsageError(
            f"a vocabulary of {vocab_tokens} tokens has no room for every byte", f"take {least} or more"
        )
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trained.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_tokens, special_tokens=list(CONTROL), initial_alphabet=alphabet, show_progress=False
    )
    lines = (line for name in _FILES for line in (_PROSE / name).read_text("utf-8").splitlines())
    trained.train_from_iterator(lines, trainer)
    reached = trained.get_vocab_size()
    if reached < vocab_tokens:
        raise UsageError(
            f"the bundled prose makes a vocabulary of {reached} tokens, not {vocab_tokens}",
            f"take {reached} or fewer",
        )
    return TinyTokenizer(trained.to_str())


def has_text(piece: str) -> bool:
    """Whether a token is whole characters: not a control token, not a part of a character's bytes."""
    if piece in CONTROL:
        return False
    try:
        return bool(bytes(_BYTES[sign] for sign in piece).decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _byte_of_sign() -> dict[str, int]:
    """The alphabet of byte-level BPE (GPT-2): printable bytes stand for themselves, others for signs from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_of_sign()
