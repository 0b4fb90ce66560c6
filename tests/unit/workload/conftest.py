"""A load point, and a small byte-level BPE tokenizer that is trained on the spot."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from inferometer.spec import LoadPoint
from inferometer.workload.words import WORDS

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
MakePoint = Callable[..., LoadPoint]


@pytest.fixture(scope="session")
def gsm8k() -> Path:
    path = DATA / "questions" / "gsm8k_test.jsonl"
    if not path.exists():
        pytest.skip(f"sample data is not here: {path}")
    return path


@pytest.fixture(scope="session")
def make_point() -> MakePoint:
    base = LoadPoint(
        index=0,
        kind="measure",
        max_concurrency=4,
        request_rate=None,
        burstiness=1.0,
        num_prompts=10,
        duration_s=None,
        input_len=None,
        output_len=None,
        seed=0,
    )
    return lambda **changes: replace(base, **changes)


@pytest.fixture(scope="session")
def bpe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tokenizer.json of a byte-level BPE that adds a start token and truncates, as downloaded ones may."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<s>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    words = WORDS[:120]
    backend.train_from_iterator(list(words) * 5 + [" ".join(words)] * 5, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    backend.enable_truncation(8)
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    backend.save(str(path))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Write text, bytes, or a value as JSON, into a file of the given name."""

    def to_file(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return to_file
