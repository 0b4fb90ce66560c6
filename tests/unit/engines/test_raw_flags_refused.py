"""What a model's files rule out is refused wherever it is said: as a field, as a raw flag, in the environment."""

import json
from pathlib import Path

import pytest

from inferometer.engines.adapters.command import Command
from inferometer.engines.adapters.llamacpp import LlamaCpp
from inferometer.engines.adapters.lmdeploy import LMDeploy
from inferometer.engines.adapters.sglang import SGLang
from inferometer.engines.adapters.tgi import TGI
from inferometer.engines.adapters.vllm import VLLM
from inferometer.engines.beforehand import asked_of, known_of
from inferometer.engines.engine import Engine, Settings
from inferometer.engines.words import engine_of
from inferometer.models.asked import Asked

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
}
HEADS = "attention heads (28) must be divisible by tensor parallel size (8)"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder with all that is asked of one, except weights."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(2000))
    return str(tmp_path)


def against(engine: Engine, settings: Settings, environ: dict[str, str] | None = None) -> list[str]:
    return [one.message for one in known_of(engine, settings, environ or {}).refusals]


@pytest.mark.parametrize(
    ("engine", "raw"),
    [
        (VLLM(), ("-tp", "8")),
        (VLLM(), ("--tensor_parallel_size=8", "word")),
        (SGLang(), ("--tp", "8")),
        (LMDeploy(), ("--backend", "pytorch", "--tp", "8")),
        (TGI(), ("--num-shard=8",)),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else value[0],
)
def test_a_raw_flag_is_held_against_the_model_too(model: str, engine: Engine, raw: tuple[str, ...]) -> None:
    assert against(engine, Settings(model=model, extra=raw))[0] == HEADS
    assert against(engine, Settings(model=model)) == []


def test_a_whole_command_line_is_held_against_the_model(model: str) -> None:
    for line in (f"vllm serve {model} -tp 8", f"vllm {model} --dtype half -- -tp 8"):
        engine, settings = engine_of(line)
        assert against(engine, settings)[0] == HEADS
    long = against(*engine_of(f"vllm serve {model} --max-model-len 33k"))
    assert long == [f"a context of 33,000 tokens is longer than the 32,768 positions of {model}"]
    assert against(*engine_of(f"vllm serve {model} --max-model-len -1")) == []  # vLLM chooses it
    assert known_of(Command(), Settings(model="", extra=("serve", model)), {}).refusals == ()


@pytest.mark.parametrize(
    "line",
    [
        "python -m sglang.launch_server --model-path {model} --tp 8 --dp 8 --enable-dp-attention",
        "vllm serve {model} --tensor-parallel-size 8 --hf_overrides='{{}}'",
        "vllm serve {model} --max-model-len 131072 --hf-overrides {{}}",
        "lmdeploy serve api_server {model} --tp 8 --dp 8",
    ],
)
def test_flags_with_which_an_engine_accepts_it_are_heeded(model: str, line: str) -> None:
    assert against(*engine_of(line.format(model=model))) == []


@pytest.mark.parametrize("flags", ["--load-format dummy", "--tokenizer /other --load-format=dummy"])
def test_files_that_are_not_read_need_not_be_there(model: str, flags: str) -> None:
    (Path(model) / "pytorch_model.bin").unlink()
    (Path(model) / "tokenizer.json").unlink()
    assert len(against(*engine_of(f"vllm serve {model}"))) == 2
    assert against(*engine_of(f"vllm serve {model} {flags}")) == []
    assert against(*engine_of(f"vllm serve {model} {flags} -tp 8"))[0] == HEADS


def test_a_variable_of_this_process_reaches_the_engine(model: str) -> None:
    longer = Settings(model=model, max_model_len=40_000)
    assert len(against(VLLM(), longer)) == 1
    assert against(VLLM(), longer, {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}) == []


def test_what_is_asked_is_read_from_the_command_line_that_is_started() -> None:
    raw = ("--ep-size", "4", "--tp", "4", "--context-length", "100")
    assert asked_of(SGLang(), Settings(model="m", data_parallel=2, extra=raw), {"A": "1"}) == Asked(
        tensor_parallel=4, data_parallel=2, expert_parallel=True, max_model_len=100, env={"A": "1"}
    )
    slots = Settings(model="m.gguf", max_model_len=512, extra=("--parallel", "4"))
    asked = asked_of(LlamaCpp(), slots, {})
    assert (asked.max_model_len, asked.max_num_seqs) == (512, 4)


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve M --max-model-len -1",
        "python -m sglang.launch_server --model-path M --chunked-prefill-size -1",
        "llama-server -m M --parallel -1",
    ],
)
def test_a_count_below_nothing_is_the_engines_to_understand(line: str) -> None:
    engine, settings = engine_of(line)
    assert settings.extra[-1] == "-1"
    assert engine.command(settings).argv[-2:] == settings.extra
