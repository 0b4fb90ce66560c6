"""How fast exact prompts are made: processor time on one core, for each kind of text.

    python bench/prompts.py [--tokenizer PATH/tokenizer.json] [--requests 10000] [--tokens 4000]

Without a tokenizer, a byte-level BPE of 20,000 pieces is trained on the bundled prose first. Every prompt is made; one
in ``--recount`` is counted again as a whole, outside of the time that is shown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import islice
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from inferometer.workload import load_tokenizer
from inferometer.workload.corpus import corpus
from inferometer.workload.exact import make_maker
from inferometer.workload.random_text import RandomDataset, fixed_lengths

KINDS = ("words", "english", "chinese", "mixed", "token-ids")
PATTERN = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)


def trained(folder: Path) -> str:
    """A tokenizer.json that splits text as current models do."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=20_000, show_progress=False, initial_alphabet=alphabet)
    backend.train_from_iterator([corpus("english"), corpus("chinese")], trainer)
    path = folder / "tokenizer.json"
    backend.save(str(path))
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizer")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--recount", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(asked.tokenizer or trained(Path(folder)))
    print(
        f"{asked.requests:,} prompts of {asked.tokens:,} tokens, tokenizer {asked.tokenizer or 'trained here'}"
    )
    print(
        f"{'text':<12}{'set-up s':>10}{'total s':>10}{'ms each':>10}{'whole count ms':>16}{'recounted':>12}{'wrong':>8}"
    )
    for kind in KINDS:
        begin = time.process_time()
        maker = make_maker(tokenizer, kind)
        ready = time.process_time()
        kept = []
        requests = RandomDataset(tokenizer, fixed_lengths(asked.tokens, 8), maker).requests(0, "bench")
        for number, request in enumerate(islice(requests, asked.requests)):
            if number % asked.recount == 0:
                kept.append(request)
        made = time.process_time()
        lengths = [len(r.token_ids or ()) or tokenizer.count(r.text or "") for r in kept]
        counted_ms = (time.process_time() - made) / len(kept) * 1e3
        wrong = sum(length != asked.tokens for length in lengths)
        each_ms = (made - ready) / asked.requests * 1e3
        print(
            f"{kind:<12}{ready - begin:>10.2f}{made - ready:>10.2f}{each_ms:>10.3f}{counted_ms:>16.2f}"
            f"{len(kept):>12,}{wrong:>8}"
        )


if __name__ == "__main__":
    main()
