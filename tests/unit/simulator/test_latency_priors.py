"""Device sheets, roofline priors and memory, against figures that were measured or published by others."""

import csv
import json
from pathlib import Path

import msgspec
import pytest

from inferometer.clock import Clock
from inferometer.errors import DataError, UsageError
from inferometer.models.asked import Asked
from inferometer.models.config import Experts, ModelConfig
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.devices import device, device_sheets, measure_cpu
from inferometer.simulator.latency.experts import step_model
from inferometer.simulator.latency.facts import facts_of
from inferometer.simulator.latency.memory import MemoryHabits, plan_memory
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.published import published_model
from inferometer.simulator.latency.roofline import Placement, priors, touched_experts
from inferometer.simulator.latency.uncalibrated import uncalibrated

CAPACITY = Path(__file__).parents[4] / "shared" / "data" / "capacity"
LLAMA3_8B = ModelConfig(
    directory=Path("llama"),
    layers=32,
    kv_layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    intermediate=14336,
    vocab_tokens=128256,
    dtype="bfloat16",
)
MIXTRAL = msgspec.structs.replace(LLAMA3_8B, vocab_tokens=32000, experts=Experts(8, 2, 14336))


def test_each_number_of_a_sheet_has_a_source():
    sheets = device_sheets()

    assert len(sheets) >= 12
    for name, sheet in sheets.items():
        assert {"memory_gib", "memory_gb_per_s", "tflops", "link_gb_per_s"} <= set(sheet.sources), name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
        ("NVIDIA GeForce RTX 4090", "nvidia-rtx-4090"),
        ("Ascend910B4", "ascend-910b-32gb"),
        ("K100_AI", "hygon-k100-ai"),
    ],
)
def test_devices_have_the_names_that_drivers_print(name, key):
    assert device(name) is device_sheets()[key]


def test_a_device_without_a_sheet_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"'B9000' has no sheet; there are .*nvidia-h200.*cpu"):
        device("B9000")
    own = tmp_path / "own.yaml"
    own.write_text("{title: mine, memory_gib: 10, memory_gb_per_s: 100, tflops: {bf16: 20}}")
    assert device(str(own)).flops_per_s("fp8") == 20e12
    own.write_text("{title: mine, memory_gib: -1, memory_gb_per_s: 100, tflops: {bf16: 20}}")
    with pytest.raises(DataError, match="memory_gib must be more than 0"):
        device(str(own))


class TickingClock(Clock):
    """Moves 50 ms with each look."""

    now = 0

    def now_ns(self) -> int:
        self.now += 50_000_000
        return self.now


def test_a_cpu_is_measured_with_the_clock_that_is_given():
    found = measure_cpu(TickingClock())

    assert found.tflops == {"fp32": pytest.approx(2 * 768**3 / 0.05 / 1e12)}
    assert found.memory_gb_per_s == pytest.approx(2 * 64 * 2**20 / 0.05 / 1e9)


def test_facts_of_a_model_are_those_that_are_published():
    found = facts_of(LLAMA3_8B)

    assert found.weight_bytes / 2 == pytest.approx(8.03e9, rel=0.001)
    assert found.kv_bytes_per_token == 128 * 1024
    mixture = facts_of(MIXTRAL)
    assert mixture.weight_bytes / 2 == pytest.approx(46.7e9, rel=0.002)
    assert mixture.linear_parameters == pytest.approx(
        12.9e9 - 0.26e9, rel=0.01
    )  # 12.9 B active, with embeddings
    assert touched_experts(mixture).picked == 0.25


def test_a_size_that_is_missing_is_named():
    with pytest.raises(UsageError, match="does not say kv_heads, intermediate"):
        facts_of(msgspec.structs.replace(LLAMA3_8B, kv_heads=None, intermediate=None))


def test_priors_are_bytes_over_bandwidth_and_operations_over_peak():
    sheet, facts = device("H100"), facts_of(LLAMA3_8B)
    one, four = priors(facts, sheet), priors(facts, sheet, Placement(tensor_parallel=4))

    assert one.weights_s == pytest.approx(2 * (8.03e9 - 0.525e9) / (3.35e12 * 0.8), rel=0.001)
    assert one.kv_token_s == pytest.approx(131072 / (3.35e12 * 0.8))
    assert one.token_s == pytest.approx(2 * 6.98e9 / (989e12 * 0.6), rel=0.001)
    assert one.comm_token_s == 0.0
    assert four.weights_s == pytest.approx(one.weights_s / 4)
    assert four.step_s - one.step_s == pytest.approx(64 * 8e-6)
    # 64 all-reduces of 8 KiB: 1.5 times over a link of 450 GB/s.
    assert four.comm_token_s == pytest.approx(64 * 1.5 * 8192 / 450e9)


def test_priors_come_near_a_published_measurement():
    """8 streams of 1,024 + 128 tokens on one H100 take 7.9 ms a token (TensorRT-LLM, aiconfigurator's sweeps)."""
    facts = facts_of(LLAMA3_8B)
    model = step_model(priors(facts, device("H100")), touched_experts(facts))

    assert model.step_s(StepShape(8, 8, 8 * 1088, 0.0, 0, 8)) == pytest.approx(7.9e-3, rel=0.15)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"tensor_parallel": 3}, "does not divide the model's 32 attention heads"),
        ({"pipeline_parallel": 33}, "more than the model's 32 layers"),
        ({"tensor_parallel": 0}, "tensor_parallel=0 must be at least 1"),
    ],
)
def test_a_model_cannot_be_split_anyhow(place, message):
    with pytest.raises(UsageError, match=message):
        priors(facts_of(LLAMA3_8B), device("H100"), Placement(**place))


def test_blocks_of_a_real_engine():
    """Llama-3.1-8B at 0.9 of an RTX 4090: vLLM reported 2,588 blocks of 16 tokens."""
    assert plan_memory(facts_of(LLAMA3_8B), device("RTX 4090")).kv_blocks == pytest.approx(2588, rel=0.02)


def test_memory_that_does_not_suffice_says_what_takes_it():
    with pytest.raises(UsageError, match=r"21\.2 GiB usable of 23\.5 GiB, but weights take 87\.0"):
        plan_memory(facts_of(MIXTRAL), device("RTX 4090"))
    with pytest.raises(UsageError, match=r"utilization=1\.2"):
        MemoryHabits(utilization=1.2)


def config_of(sizes: dict) -> ModelConfig:
    count, layers = sizes["num_experts"], sizes["num_hidden_layers"]
    return ModelConfig(
        directory=Path("published"),
        model_type="opt" if sizes["mlp_matrices"] == 2 else "llama",
        layers=layers,
        kv_layers=layers,
        hidden=sizes["hidden_size"],
        heads=sizes["num_attention_heads"],
        kv_heads=sizes["num_key_value_heads"],
        head_dim=sizes["head_dim"],
        intermediate=sizes["intermediate_size"],
        vocab_tokens=sizes["vocab_size"],
        dtype="bfloat16",
        experts=Experts(count, sizes["experts_per_token"], sizes["intermediate_size"]) if count > 1 else None,
    )


def fewest_cards(facts, sheet):
    """Cards and the longest of 4k, 8k, ... tokens that fit, in thousands; prompts are not prefilled in chunks."""
    for cards in (1, 2, 4, 8):
        longest = 0
        for thousands in (4 * 2**power for power in range(9)):
            habits = MemoryHabits(
                activation_tokens=thousands * 1024, block_tokens=128, reserve_gib=2.0, communication_gib=0.0
            )
            try:
                plan = plan_memory(facts, sheet, Placement(tensor_parallel=cards), habits)
            except UsageError:
                break
            if plan.kv_tokens < thousands * 1024:
                break
            longest = thousands
        if longest:
            return cards, longest
    return None


@pytest.mark.skipif(not CAPACITY.is_dir(), reason=f"{CAPACITY} is not there")
def test_published_cards_and_lengths_of_38_models():
    sizes = json.loads((CAPACITY / "model_architectures.json").read_text())
    rows = list(csv.DictReader((CAPACITY / "ascend_vllm060_min_cards.csv").read_text().splitlines()))
    cards = lengths = 0
    for row in rows:
        facts = facts_of(config_of(sizes[row["model"]]))
        for memory in ("32", "64"):
            found = fewest_cards(facts, device(f"ascend-910b-{memory}gb"))
            cards += row[f"cards_{memory}g"] == (str(found[0]) if found else "")
            lengths += found is not None and row[f"maxlen_k_{memory}g"] == str(found[1])

    assert (cards, len(rows)) == (76, 38)
    assert lengths >= 60


def test_a_profile_that_nobody_measured_says_so():
    limits = EngineLimits(max_num_seqs=64, max_model_len=131072)
    found = uncalibrated(facts_of(LLAMA3_8B), device("RTX 4090"), limits=limits, seed=7)

    assert found.provenance.method == "priors"
    assert found.limits.kv_blocks * 16 == found.limits.max_model_len < 50_000
    assert set(found.provenance.unseen) == set(Coefficients.__struct_fields__)
    assert found == uncalibrated(facts_of(LLAMA3_8B), device("RTX 4090"), limits=limits, seed=7)
    spread = sorted(each.weights_s / found.coefficients.weights_s for each in found.ensemble)
    assert 0.5 < spread[0] < 0.9 < 1.1 < spread[-1] < 2.0


@pytest.mark.parametrize(
    ("asked", "compute", "weight_gb"),
    [
        (Asked(), "bf16", 16.06),
        (Asked(quantization="fp8"), "fp8", 6.98 + 2.10),  # embedding and head stay in 16 bits
        (Asked(quantization="awq"), "bf16", 6.98 * 4.5 / 8 + 2.10),
        (Asked(dtype="float32"), "fp32", 32.12),
    ],
)
def test_weights_as_they_are_loaded(asked, compute, weight_gb):
    found = facts_of(LLAMA3_8B, asked)

    assert found.compute == compute
    assert found.weight_bytes == pytest.approx(weight_gb * 1e9, rel=0.005)


def test_whole_prompts_need_more_memory_than_chunks():
    sheet, facts = device("ascend-910b-64gb"), facts_of(LLAMA3_8B)
    chunks = uncalibrated(facts, sheet, limits=EngineLimits(max_model_len=32768))
    whole = uncalibrated(facts, sheet, limits=EngineLimits(max_model_len=32768, scheduler="prefill-first"))

    # 30,720 tokens more of 10 rows of 4,096 and 3 of 14,336 numbers of 2 bytes.
    assert (chunks.limits.kv_blocks - whole.limits.kv_blocks) * 16 * 131072 == pytest.approx(
        30720 * (10 * 4096 + 3 * 14336) * 2, rel=0.001
    )


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8.03),
        ("nvidia/Llama-3.3-70B-Instruct-FP8", 70.55),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", 235.1),
        ("RedHatAI/Mixtral-8x7B-Instruct-v0.1", 46.70),
        ("/models/Qwen2.5-7B-Instruct/", 7.62),
    ],
)
def test_published_models_have_their_published_counts(name, billions):
    found = published_model(name)

    assert found is not None
    assert facts_of(found, Asked()).weight_bytes / 2e9 == pytest.approx(billions, rel=0.01)


def test_a_model_of_another_size_is_not_taken_for_one_that_is_known():
    assert published_model("meta-llama/Llama-3.1-9B") is None
    assert published_model("Llama-3.1-80B") is None
