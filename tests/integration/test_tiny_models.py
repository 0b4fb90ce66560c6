"""Tiny models in a real engine: llama.cpp counts, computes and ends as the files say."""

import json
from pathlib import Path

import numpy as np
import pytest
from llama_process import Llama, llama
from tokenizers import Tokenizer

from inferometer.models.safetensors import WeightsFile, read_header
from inferometer.models.tiny import EOS_BIAS, TinyModel, TinyShape, cached_tiny_model

pytest.importorskip("xllamacpp")

PROMPT = "The quick brown fox jumps over the lazy dog, and then it goes home. 今天天气很好。"
TEXTS = (
    "Hello, world! It's 12:30; don't we'll see.",
    "今天天气很好，我们去公园散步吧！子曰：学而时习之，不亦说乎？",
    "emoji 👩🏽‍🚀🇨🇳 and 𝒎𝒂𝒕𝒉",
    "def f(x):\n\treturn   x**2  # naïve café\r\n\n\n",
    "  leading and trailing   ",
    "1234567890 ٣٤ ½ Ⅷ",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_both_files_hold_the_same_model(cache, architecture):
    shape = TinyShape(architecture=architecture)
    model = cached_tiny_model(cache, shape=shape)
    tokenizer = Tokenizer.from_file(str(model.folder / "tokenizer.json"))
    prompt = tokenizer.encode(PROMPT).ids

    with llama(model.gguf) as server:
        told = {text: server.ask("/tokenize", {"content": text})["tokens"] for text in (*TEXTS, PROMPT)}
        answer = server.ask(
            "/completion",
            {"prompt": prompt, "n_predict": 32, "temperature": 0, "n_probs": 1, "cache_prompt": False},
        )

    assert told == {text: tokenizer.encode(text).ids for text in told}
    given = answer["completion_probabilities"]
    tokens = [one["id"] for one in given]
    assert len(tokens) == 32
    assert len(set(tokens)) >= 28, "varied, not one token again and again"
    assert answer["content"] == tokenizer.decode(tokens)
    assert "\ufffd" not in answer["content"]
    # What the other file says about the same tokens, computed here: 16-bit activations differ by some 1/1000.
    logits = Reference(model, shape).logits([*prompt, *tokens])[len(prompt) - 1 : -1]
    assert list(logits.argmax(-1)) == tokens
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(
        [one["logprob"] for one in given], expected[np.arange(32), tokens], rtol=0, atol=0.05
    )


def test_answers_of_the_variant_end_by_themselves_unless_told_not_to(cache):
    with llama(cached_tiny_model(cache, eos_bias=EOS_BIAS).gguf) as server:
        ended = [complete(server, number) for number in range(8)]
        forced = [complete(server, number, ignore_eos=True) for number in range(4)]

    assert {reason for reason, _ in ended} == {"stop"}
    assert max(tokens for _, tokens in ended) < 64
    assert np.median([tokens for _, tokens in ended]) < 16
    assert forced == [("length", 64)] * 4


def complete(server: Llama, number: int, **more: object) -> tuple[str, int]:
    body = {"model": "tiny", "prompt": f"Question {number}: what is it?", "max_tokens": 64, "seed": number}
    answer = server.ask("/v1/completions", body | more)
    return answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]


def test_a_chat_is_written_by_the_template_of_the_model(cache):
    with llama(cached_tiny_model(cache).gguf) as server:
        said = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
        told = server.ask("/apply-template", {"messages": [said]})["prompt"]
        answer = server.ask("/v1/chat/completions", {"messages": [said], "max_tokens": 40})

    assert told == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    choice = answer["choices"][0]
    assert (choice["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 40)
    assert choice["message"]["content"]


class Reference:
    """The model of an HF folder in numpy, by the definitions of Qwen2 and Llama; no cache, all positions at once."""

    def __init__(self, model: TinyModel, shape: TinyShape) -> None:
        self.config = json.loads((model.folder / "config.json").read_text())
        self.shape = shape
        weights: WeightsFile = read_header(model.folder / "model.safetensors")
        self.weights = {name: weights.array(name) for name in weights.tensors}

    def logits(self, tokens: list[int]) -> np.ndarray:
        state = self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.shape.layers):
            prefix = f"model.layers.{layer}."
            state = state + self.attention(
                prefix + "self_attn.", self.normed(state, prefix + "input_layernorm")
            )
            inner = self.normed(state, prefix + "post_attention_layernorm")
            gate = self.linear(prefix + "mlp.gate_proj", inner)
            gated = gate / (1 + np.exp(-gate)) * self.linear(prefix + "mlp.up_proj", inner)
            state = state + self.linear(prefix + "mlp.down_proj", gated)
        return self.linear("lm_head", self.normed(state, "model.norm"))

    def normed(self, state: np.ndarray, name: str) -> np.ndarray:
        size = np.sqrt((state**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return state / size * self.weights[name + ".weight"]

    def linear(self, name: str, state: np.ndarray) -> np.ndarray:
        return state @ self.weights[name + ".weight"].T + self.weights.get(name + ".bias", 0.0)

    def attention(self, prefix: str, state: np.ndarray) -> np.ndarray:
        length, width = len(state), self.shape.head_dim
        query, key, value = (
            self.linear(f"{prefix}{part}_proj", state).reshape(length, -1, width).swapaxes(0, 1)
            for part in "qkv"
        )
        shared = self.shape.heads // self.shape.kv_heads
        key, value = self.rotated(key).repeat(shared, 0), value.repeat(shared, 0)
        scores = self.rotated(query) @ key.swapaxes(1, 2) / width**0.5
        scores[:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
        share = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (share / share.sum(-1, keepdims=True)) @ value
        return self.linear(prefix + "o_proj", mixed.swapaxes(0, 1).reshape(length, -1))

    def rotated(self, heads: np.ndarray) -> np.ndarray:
        half = self.shape.head_dim // 2
        angles = np.arange(heads.shape[1])[:, None] * self.config["rope_theta"] ** (-np.arange(half) / half)
        one, other = heads[..., :half], heads[..., half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([one * cos - other * sin, other * cos + one * sin], -1)
