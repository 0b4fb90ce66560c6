"""A small tokenizer in Hugging Face form, made on this machine: no peer may need a model hub to be measured.

Byte-level BPE trained on Python's own standard library. Only its form matters here: the truth server answers the
asked number of tokens whatever the prompt is.
"""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

_VOCABULARY = 4096
_FILES = 150
_END = "<|endoftext|>"
_CHAT = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"


def make_tokenizer(directory: Path) -> Path:
    """Write ``tokenizer.json`` and what ``AutoTokenizer`` wants beside it, unless they are there.

    Args:
        directory: where; made if absent.

    Returns:
        The directory.
    """
    if (directory / "config.json").exists():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.save(str(directory / "tokenizer.json"))
    written = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": _END,
            "eos_token": _END,
            "pad_token": _END,
            "model_max_length": 32768,
            "clean_up_tokenization_spaces": False,
            "chat_template": _CHAT,
        },
        "config.json": {"model_type": "qwen2", "vocab_size": _VOCABULARY, "max_position_embeddings": 32768},
    }
    for name, content in written.items():
        (directory / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return directory


def _texts() -> Iterator[str]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:_FILES]:
        yield path.read_text(encoding="utf-8", errors="replace")
