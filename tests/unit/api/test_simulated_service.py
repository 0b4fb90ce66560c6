"""From a spec to a simulated service: profile or device and model, flags, instances, ratios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferometer.api.simulated import Simulated, Variant, is_question, most_instances, service_of, variants
from inferometer.errors import UsageError
from inferometer.models.config import read_model
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.facts import facts_of
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Profile, Provenance, write_profile
from inferometer.spec.layers import public_dict
from inferometer.spec.model import RunSpec

_COST = Coefficients(
    weights_s=5e-3, token_s=2e-5, step_s=2e-3, kv_token_s=5e-8, arrival_s=4e-3, first_token_s=1e-3
)
_LIMITS = EngineLimits(max_num_seqs=64, max_num_batched_tokens=2048, kv_blocks=20_000, max_model_len=8192)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Sizes of Llama 3.1 8B."""
    sizes = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "torch_dtype": "bfloat16",
        "max_position_embeddings": 131072,
    }
    (tmp_path / "config.json").write_text(json.dumps(sizes), "utf-8")
    return tmp_path


def profile_at(folder: Path, **changed: Any) -> str:
    faster = msgspec.structs.replace(_COST, step_s=1e-3)
    given: dict[str, Any] = {
        "coefficients": _COST,
        "limits": _LIMITS,
        "kv_blocks_known": True,
        "ensemble": (_COST, faster),
        "engine": "vllm 0.19.1",
        "provenance": Provenance(method="requests"),
    }
    file = folder / "engine.json"
    write_profile(Profile(**given | changed), file)
    return str(file)


def test_refits_have_the_pools_that_were_fitted_with_them(tmp_path: Path) -> None:
    profile = profile_at(tmp_path, ensemble_pools=(0.5, 1.25))
    pools = [member.limits.kv_blocks for member in built(profile=profile).members]
    least = -(-_LIMITS.max_model_len // _LIMITS.block_tokens)
    assert pools == [max(least, round(_LIMITS.kv_blocks * share)) for share in (0.5, 1.25)]
    assert pools[0] < _LIMITS.kv_blocks < pools[1]
    told = built(profile=profile, engine_args=["--num-gpu-blocks-override 9000"])
    assert [member.limits.kv_blocks for member in told.members] == [9000, 9000]
    with pytest.raises(UsageError, match="2 shares above 0"):
        profile_at(tmp_path, ensemble_pools=(1.0,))


def known_place(model: Path) -> dict[str, Any]:
    config = read_model(model)
    assert config is not None
    return {"device": "NVIDIA H100 SXM 80 GB", "model": facts_of(config)}


def spec_of(**simulation: Any) -> RunSpec:
    return RunSpec.model_validate({"simulation": simulation})


def built(**simulation: Any) -> Simulated:
    return service_of(spec_of(**simulation))


def refused(**simulation: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        built(**simulation)
    return caught.value


def test_a_profile_is_simulated_as_it_was_calibrated(tmp_path: Path) -> None:
    found = built(profile=profile_at(tmp_path))
    assert found.service.limits == _LIMITS
    assert (found.service.overheads.arrival_s, found.service.overheads.reply_s) == (4e-3, 1e-3)
    assert [member.model.decode_line(1)[0] for member in found.members] == pytest.approx([7e-3, 6e-3])
    assert (found.model, found.notes) == ("engine", ())
    assert found.what.startswith(
        "1 instance of vllm 0.19.1: 64 sequences, 2048 tokens a step, 320,000 tokens"
    )
    assert built(profile=profile_at(tmp_path), intervals=False).members == ()


def test_flags_change_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    found = built(profile=profile_at(tmp_path), engine_args=["--max-num-batched-tokens 512 --block-size 32"])
    expected = msgspec.structs.replace(_LIMITS, max_num_batched_tokens=512, block_tokens=32, kv_blocks=10_000)
    assert found.service.limits == expected
    assert {member.limits for member in found.members} == {expected}
    assert found.notes == (
        "the KV cache is taken to stay as it was measured: device and model are not known",
    )


def test_a_share_of_memory_adds_what_it_frees_to_what_was_measured(tmp_path: Path, model: Path) -> None:
    profile = profile_at(tmp_path, **known_place(model))
    found = built(profile=profile, engine_args=["--gpu-memory-utilization 0.82"])
    # 10 % of 79.2 GiB less, at 131,072 bytes a token
    lost = 0.1 * 79.2 * 1024**3 / 131072
    assert found.service.limits.kv_blocks == pytest.approx((320_000 - lost) / 16, abs=1.01)
    assert "320,000 tokens as calibrated" in found.notes[0]
    unknown = refused(profile=profile_at(tmp_path), engine_args=["--gpu-memory-utilization 0.82"])
    assert "--device and --model-config" in unknown.next_step


def test_another_placement_scales_as_the_roofline_and_widens_the_ensemble(
    tmp_path: Path, model: Path
) -> None:
    profile = profile_at(tmp_path, **known_place(model))
    found = built(profile=profile, engine_args=["-tp 2"])
    cost = found.profile.coefficients
    assert (cost.weights_s, cost.token_s, cost.kv_token_s) == pytest.approx((2.5e-3, 1e-5, 2.5e-8))
    assert cost.comm_token_s > 0.0
    assert cost.arrival_s == 4e-3
    assert len({member.model.decode_line(1) for member in found.members}) == 2
    assert "carried over to NVIDIA H100 SXM 80 GB, tensor parallel 2" in found.notes[-1]
    moved = built(profile=profile, device="nvidia-h200")
    assert moved.profile.coefficients.weights_s == pytest.approx(5e-3 * 3350 / 4800)
    assert moved.service.limits.kv_blocks > _LIMITS.kv_blocks
    assert (
        "its device and model have to be known"
        in refused(profile=profile_at(tmp_path), engine_args=["-tp 2"]).message
    )


def test_a_device_and_a_model_do_where_nothing_was_measured(model: Path) -> None:
    found = built(device="h100", model_config_file=str(model), engine_args=["--enforce-eager"])
    limits = found.service.limits
    assert (limits.max_num_seqs, limits.max_num_batched_tokens, limits.max_model_len) == (1024, 8192, 131072)
    assert limits.kv_blocks * 16 == pytest.approx(450_000, rel=0.02)
    assert len(found.members) == 20
    assert found.notes[0].startswith("not calibrated")
    assert found.notes[1:] == ("defaults of vllm 0.32.0", "not simulated: --enforce-eager")
    again = built(device="h100", model_config_file=str(model), engine_args=["--enforce-eager"])
    assert [one.overheads for one in again.members] == [one.overheads for one in found.members]


def test_a_small_device_cuts_the_longest_sequence_to_what_its_cache_holds(model: Path) -> None:
    found = built(device="nvidia-rtx-4090", model_config_file=str(model))
    holds = found.service.limits.kv_blocks * 16
    assert found.service.limits.max_model_len == holds < 131072
    assert found.notes[-1] == f"max_model_len is cut from 131,072 to the {holds:,} tokens of the KV cache"
    asked = refused(
        device="nvidia-rtx-4090", model_config_file=str(model), engine_args=["--max-model-len 131072"]
    )
    assert f"hold {holds} tokens, less than max_model_len=131072" in asked.message


def test_engines_divide_memory_by_their_own_rules(model: Path) -> None:
    place = {"device": "h100", "model_config_file": str(model)}
    free = built(**place, engine="lmdeploy").service.limits
    half = built(**place, engine="lmdeploy", engine_args=["--cache-max-entry-count 0.4"]).service.limits
    assert half.kv_blocks == pytest.approx(free.kv_blocks / 2, abs=1)
    stated = built(**place, engine="tgi", engine_args=["--max-batch-total-tokens 65536"]).service.limits
    assert (stated.kv_blocks * stated.block_tokens, stated.reserve_answer) == (65536, True)
    assert built(**place, engine="mindie").service.limits.max_model_len == 2560


def test_published_models_are_known_by_their_names() -> None:
    found = built(device="h100", model_config_file="Qwen/Qwen2.5-7B-Instruct")
    assert found.model == "Qwen2.5-7B-Instruct"
    assert "no published model" in refused(device="h100", model_config_file="nobody/nothing").message


def test_ranks_of_data_parallelism_are_instances(tmp_path: Path) -> None:
    profile = profile_at(tmp_path)
    assert built(profile=profile, engine_args=["--data-parallel-size 4"]).service.instances == 4
    assert "not simulated" in refused(profile=profile, engine_args=["-dp 2"], instances=2).message


def test_instances_and_ratios_make_variants(tmp_path: Path, model: Path) -> None:
    profile = profile_at(tmp_path, **known_place(model))
    one = spec_of(profile=profile)
    assert variants(one) == [Variant(None, 1)]
    assert not is_question(one)
    several = spec_of(
        profile=profile, engine_args=["--max-num-seqs 32", "--max-num-seqs 48"], instances="1,2"
    )
    assert [variant.label for variant in variants(several)] == [
        "--max-num-seqs 32, 1 instance",
        "--max-num-seqs 32, 2 instances",
        "--max-num-seqs 48, 1 instance",
        "--max-num-seqs 48, 2 instances",
    ]
    split = spec_of(profile=profile, prefill_decode=["auto:3"], transfer_gb_s=10)
    assert [variant.ratio for variant in variants(split)] == [(1, 2), (2, 1)]
    service = service_of(split, variants(split)[1]).service
    assert (service.prefill, service.instances) == (2, 1)
    assert service.transfer is not None
    assert (service.transfer.bytes_per_token, service.transfer.bytes_per_s) == (131072, 1e10)


def test_the_same_service_is_not_compared_with_itself() -> None:
    twice = spec_of(engine_args=["--max-num-seqs 4", "--max-num-seqs 4"], instances="2,2")
    assert variants(twice) == [Variant("--max-num-seqs 4", 2)]


def test_a_key_among_the_flags_is_in_no_label_and_in_no_file() -> None:
    spec = spec_of(engine_args=["--api-key sk-12345 --max-num-seqs 4", "--max-num-seqs 8"])
    assert [one.label for one in variants(spec)] == ["--api-key *** --max-num-seqs 4", "--max-num-seqs 8"]
    assert "sk-12345" not in str(public_dict(spec))
    assert refused(
        device="h100", model_config_file="qwen3-8b", engine_args=["'--api-key sk-12345"]
    ).message == ("--engine-args: No closing quotation")


def test_a_device_beside_a_profile_of_none_is_taken_for_the_one_that_was_measured(tmp_path: Path) -> None:
    profile = profile_at(tmp_path)
    found, plain = built(profile=profile, device="h200"), built(profile=profile)
    assert found.profile.coefficients == plain.profile.coefficients
    assert found.notes == (
        "the profile names no device that has a sheet: h200 is taken to be the one it is of",
        *plain.notes,
    )


def test_a_profile_says_nothing_about_another_model_or_other_number_formats(
    tmp_path: Path, model: Path
) -> None:
    profile = profile_at(tmp_path, **known_place(model))
    said = refused(profile=profile, model_config_file="qwen2.5-7b").message
    assert "has 28 layers of width 3584, and the profile was measured with 32 of 4096" in said
    same = built(profile=profile, model_config_file=str(model), engine_args=["--kv-cache-dtype fp8"])
    assert same.profile.coefficients == built(profile=profile).profile.coefficients
    assert "number formats are those that were measured, whatever the flags say: fp8" in same.notes


def test_ranks_share_experts_in_lockstep_unless_they_are_whole_copies() -> None:
    mixture = {"device": "h100", "model_config_file": "qwen3-30b-a3b", "engine": "sglang"}
    copies = built(**mixture, engine_args=["--tp 2 --dp 2"])
    shared = built(**mixture, engine_args=["--tp 4 --dp 2 --enable-dp-attention"])
    assert [(one.service.instances, one.service.lockstep) for one in (copies, shared)] == [
        (2, False),
        (2, True),
    ]
    whole, part = copies.profile.model, shared.profile.model
    assert whole is not None
    assert part is not None
    assert whole.routed_bytes == 2 * part.routed_bytes > 0


def test_a_length_that_nobody_knows_is_assumed_aloud() -> None:
    notes = built(device="h100", model_config_file="qwen3-8b").notes
    assert any("longest sequence 32,768 tokens" in note for note in notes)
    said = built(device="h100", model_config_file="qwen3-8b", engine_args=["--max-model-len 4096"]).notes
    assert not any("longest sequence" in note for note in said)


def test_auto_asks_for_the_fewest(tmp_path: Path) -> None:
    spec = spec_of(profile=profile_at(tmp_path), instances="auto:8")
    assert (most_instances(spec), is_question(spec)) == (8, True)
    assert most_instances(spec_of(instances="auto")) == 64
    with pytest.raises(UsageError, match="mixes auto"):
        most_instances(spec_of(instances=["auto", "2"]))


@pytest.mark.parametrize(
    ("simulation", "said"),
    [
        ({}, "nothing says what is to be simulated"),
        ({"device": "h100"}, "belong together"),
        ({"profile": "PROFILE", "engine": "sglang"}, "flags of sglang say nothing about it"),
        ({"profile": "PROFILE", "engine_config": "x.json"}, "is MindIE's config.json"),
        ({"profile": "PROFILE", "engine_args": ["--max-num-seqs 4096"]}, "is less than max_num_seqs=4096"),
        ({"profile": "PROFILE", "prefill_decode": ["1:0"]}, "is no ratio"),
        ({"profile": "PROFILE", "prefill_decode": ["auto:65"]}, "more than 63 services"),
        (
            {"profile": "PROFILE", "prefill_decode": ["1:1"], "instances": 2},
            "--instances beside --prefill-decode",
        ),
        ({"profile": "PROFILE", "prefill_decode": ["1:1"]}, "how large the model's KV entries are"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, simulation: dict[str, Any], said: str) -> None:
    if simulation.get("profile"):
        simulation = {**simulation, "profile": profile_at(tmp_path)}
    if simulation.get("engine") == "sglang":
        simulation = {**simulation, "engine_args": ["--tp 1"]}
    assert said in refused(**simulation).message
