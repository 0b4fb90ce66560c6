"""The model's own tokenizer, from a local tokenizer.json. Never from the network."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.errors import DataError, UsageError
from inferometer.workload.builtin import BuiltinTokenizer
from inferometer.workload.request import Tokenizer

if TYPE_CHECKING:
    import tokenizers

_FILE = "tokenizer.json"
_OTHER_FILES = ("tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "tiktoken.model", "vocab.txt")
_WORDS_TRIED = 8192
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


class FileTokenizer:
    """A tokenizer.json, as the ``tokenizers`` library runs it, without special tokens and without truncation.

    Args:
        path: the tokenizer.json; also the tokenizer's name.
        backend: the loaded tokenizer; its truncation and padding are switched off.
    """

    exact = True

    def __init__(self, path: Path, backend: tokenizers.Tokenizer) -> None:
        self.name = str(path)
        self._backend = backend
        self._backend.no_truncation()
        self._backend.no_padding()

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` without special tokens."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of token ids, special tokens left out."""
        text: str = self._backend.decode(ids, skip_special_tokens=True)
        return text

    def count(self, text: str) -> int:
        """Number of tokens of ``text`` without special tokens."""
        return len(self._backend.encode(text, add_special_tokens=False))

    def starts(self, text: str) -> list[int]:
        """Character at which each token of ``text`` begins, special tokens left out."""
        return [start for start, _ in self._backend.encode(text, add_special_tokens=False).offsets]

    @cached_property
    def plain_ids(self) -> list[int]:
        """Ids of the vocabulary without those that were added to it: special tokens, and words of the user's."""
        added = self._backend.get_added_tokens_decoder()
        return sorted(set(self._backend.get_vocab(with_added_tokens=False).values()) - set(added))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Lower-case ASCII words that are one token each, at the start of a text and after a space.

        At most 8,192 pieces are tried, those with the lowest ids first: they were merged first, so they are
        the most frequent ones.
        """
        pieces = sorted(self._backend.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
        plain = dict.fromkeys(
            piece.lstrip("\u0120\u2581 ") for piece, _ in pieces
        )  # marks of a leading space
        tried = [w for w in plain if len(w) > 1 and w.isascii() and w.isalpha() and w.islower()][
            :_WORDS_TRIED
        ]
        alone = self._backend.encode_batch(tried, add_special_tokens=False)
        twice = self._backend.encode_batch([f"{w} {w}" for w in tried], add_special_tokens=False)
        return tuple(w for w, a, b in zip(tried, alone, twice, strict=True) if len(a) == 1 and len(b) == 2)


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer that ``--tokenizer`` names.

    Args:
        name: ``builtin`` or ``none`` for the estimate, else a tokenizer.json or a directory that holds one.

    Raises:
        UsageError: the name of a model on a hub, which would need the network.
        DataError: no such file, a directory without tokenizer.json, or a file that cannot be parsed.
    """
    if name in {"builtin", "none"}:
        return BuiltinTokenizer()
    if name == "server":
        raise UsageError(
            "--tokenizer server asks the server of a run, and none is asked here",
            "give PATH/tokenizer.json, or --tokenizer builtin",
        )
    path = Path(name).expanduser()
    if path.is_dir():
        path = _file_in(path)
    elif not path.exists():
        raise _missing(name)
    from tokenizers import Tokenizer as Backend  # takes 50 ms, and most runs do without

    try:
        backend = Backend.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"tokenizer file {path} cannot be loaded: {error}", "fetch it again") from error
    return FileTokenizer(path, backend)


def _file_in(directory: Path) -> Path:
    path = directory / _FILE
    if path.is_file():
        return path
    found = [other for other in ("tokenizer_config.json", *_OTHER_FILES) if (directory / other).exists()]
    raise DataError(
        f"tokenizer directory {directory} holds no {_FILE} (found: {', '.join(found) or 'no tokenizer file'})",
        f"fetch {_FILE} of the model, or write it where transformers is installed: "
        f"AutoTokenizer.from_pretrained('{directory}').save_pretrained('{directory}')",
    )


def _missing(name: str) -> UsageError | DataError:
    if not _HUB_NAME.fullmatch(name) or name.endswith((".json", ".model")):
        return DataError(f"tokenizer file {name} does not exist", "check --tokenizer")
    return UsageError(
        f"--tokenizer {name!r} is no local path, and hubs are not read yet",
        f"fetch {_FILE} of {name} by hand and pass --tokenizer PATH/{_FILE}, or use --tokenizer builtin",
    )
