"""The table of all APIs that are spoken."""

from __future__ import annotations

from collections.abc import Mapping

from inferometer.client.dialects.capability import Capability, Payload

_OPENAI = "platform.openai.com/docs/api-reference"
_VLLM = "vLLM 0.32"
_LMDEPLOY = "LMDeploy 0.10: serve/openai/protocol.py"
_STREAM = {"stream": True}
_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_COUNTING = {"stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
_CHAT: Mapping[Payload, str] = {"messages": "messages"}
_PROMPT: Mapping[Payload, str] = {"text": "prompt", "token_ids": "prompt"}
_SAMPLING = {name: name for name in ("temperature", "top_p", "top_k", "stop")}
_OPENAI_ASKS = {
    "max_tokens": "max_tokens",
    "min_tokens": "min_tokens",
    **_SAMPLING,
    "ignore_eos": "ignore_eos",
}
_LMDEPLOY_ASKS = {**_OPENAI_ASKS, "min_tokens": "min_new_tokens"}
_OPENAI_REPORTS = {
    "input_tokens": "usage.prompt_tokens",
    "output_tokens": "usage.completion_tokens",
    "reasoning_tokens": "usage.completion_tokens_details.reasoning_tokens",
    "cached_tokens": "usage.prompt_tokens_details.cached_tokens",
    "accepted_draft_tokens": "usage.completion_tokens_details.accepted_prediction_tokens",
}
_CHAT_PATH, _COMPLETIONS_PATH = "/v1/chat/completions", "/v1/completions"


def _inside(parent: str, **names: str) -> dict[str, str]:
    """Options whose names stand in one object of the request."""
    return {option: f"{parent}.{name}" for option, name in names.items()}


_TGI_ASKS = _inside(
    "parameters",
    max_tokens="max_new_tokens",
    temperature="temperature",
    top_p="top_p",
    top_k="top_k",
    stop="stop",
)
_NO_STOP = {name: field for name, field in _TGI_ASKS.items() if name != "stop"}

_ROWS = (
    Capability(
        name="openai-chat",
        title="OpenAI chat completions, as nearly every server has them",
        path=_CHAT_PATH,
        prompt=_CHAT,
        streamed=_USAGE,
        asks=_OPENAI_ASKS,
        reports=_OPENAI_REPORTS,
        source=f"{_OPENAI}/chat; min_tokens, top_k, ignore_eos: {_VLLM}, SGLang",
    ),
    Capability(
        name="openai-completions",
        title="OpenAI completions",
        path=_COMPLETIONS_PATH,
        prompt=_PROMPT,
        streamed=_USAGE,
        asks=_OPENAI_ASKS,
        reports=_OPENAI_REPORTS,
        source=f"{_OPENAI}/completions; min_tokens, top_k, ignore_eos: {_VLLM}, SGLang",
    ),
    Capability(
        name="openai-responses",
        title="OpenAI responses",
        path="/v1/responses",
        prompt={"text": "input", "messages": "input"},
        streamed=_STREAM,
        asks={"max_tokens": "max_output_tokens", "temperature": "temperature", "top_p": "top_p"},
        reports={
            "input_tokens": "response.usage.input_tokens",
            "output_tokens": "response.usage.output_tokens",
            "reasoning_tokens": "response.usage.output_tokens_details.reasoning_tokens",
            "cached_tokens": "response.usage.input_tokens_details.cached_tokens",
        },
        end="response.completed",
        source=f"{_OPENAI}/responses-streaming; {_VLLM}",
    ),
    Capability(
        name="openai-embeddings",
        title="OpenAI embeddings",
        path="/v1/embeddings",
        framing="json",
        text="none",
        prompt={"text": "input", "token_ids": "input"},
        asks={},
        reports={"input_tokens": "usage.prompt_tokens"},
        end="",
        source=f"{_OPENAI}/embeddings",
    ),
    Capability(
        name="vllm",
        title="vLLM completions; each event says how many tokens there are",
        path=_COMPLETIONS_PATH,
        prompt=_PROMPT,
        streamed=_COUNTING,
        asks=_OPENAI_ASKS,
        reports=_OPENAI_REPORTS,
        tokenize="/tokenize",
        flush_cache="/reset_prefix_cache",
        source=_VLLM,
    ),
    Capability(
        name="vllm-chat",
        title="vLLM chat completions; each event says how many tokens there are",
        path=_CHAT_PATH,
        prompt=_CHAT,
        streamed=_COUNTING,
        asks=_OPENAI_ASKS,
        reports=_OPENAI_REPORTS,
        tokenize="/tokenize",
        flush_cache="/reset_prefix_cache",
        source=_VLLM,
    ),
    Capability(
        name="vllm-generate",
        title="the plain server of vLLM (vllm.entrypoints.api_server), as on ModelArts",
        path="/generate",
        framing="nul",
        text="prompt and cumulative",
        prompt={"text": "prompt"},
        streamed=_STREAM,
        asks=_OPENAI_ASKS,
        model="",
        end="",
        end_unmarked=True,
        source="vLLM 0.6 and 0.10: vllm/entrypoints/api_server.py",
    ),
    Capability(
        name="sglang",
        title="SGLang's own API",
        path="/generate",
        text="cumulative",
        prompt={"text": "text", "token_ids": "input_ids"},
        streamed=_STREAM,
        asks=_inside(
            "sampling_params",
            max_tokens="max_new_tokens",
            min_tokens="min_new_tokens",
            temperature="temperature",
            top_p="top_p",
            top_k="top_k",
            stop="stop",
            ignore_eos="ignore_eos",
        ),
        reports={
            "input_tokens": "meta_info.prompt_tokens",
            "output_tokens": "meta_info.completion_tokens",
            "reasoning_tokens": "meta_info.reasoning_tokens",
            "cached_tokens": "meta_info.cached_tokens",
            "accepted_draft_tokens": "meta_info.spec_accept_token_num",
        },
        model="",
        tokenize="/tokenize",
        flush_cache="/flush_cache",
        source="docs.sglang.io: basic_usage/native_api, sampling_params; SGLang 0.5.9",
    ),
    Capability(
        name="lmdeploy",
        title="LMDeploy completions",
        path=_COMPLETIONS_PATH,
        prompt=_PROMPT,
        streamed=_USAGE,
        asks=_LMDEPLOY_ASKS,
        reports=_OPENAI_REPORTS,
        source=_LMDEPLOY,
    ),
    Capability(
        name="lmdeploy-chat",
        title="LMDeploy chat completions",
        path=_CHAT_PATH,
        prompt=_CHAT,
        streamed=_USAGE,
        asks=_LMDEPLOY_ASKS,
        reports=_OPENAI_REPORTS,
        source=_LMDEPLOY,
    ),
    Capability(
        name="lmdeploy-generate",
        title="LMDeploy's own API",
        path="/generate",
        prompt={"text": "prompt", "token_ids": "input_ids"},
        streamed=_STREAM,
        asks={"max_tokens": "max_tokens", **_SAMPLING, "ignore_eos": "ignore_eos"},
        reports={"input_tokens": "meta_info.prompt_tokens", "output_tokens": "meta_info.completion_tokens"},
        model="",
        source=f"{_LMDEPLOY}, api_server.py",
    ),
    Capability(
        name="tgi",
        title="Text Generation Inference, and MindIE in its form",
        path="/generate_stream",
        path_whole="/generate",
        prompt={"text": "inputs"},
        fixed={"parameters.details": True},
        asks=_TGI_ASKS,
        reports={"input_tokens": "details.input_length", "output_tokens": "details.generated_tokens"},
        model="",
        end="generated_text",
        tokenize="/tokenize",
        source="huggingface.github.io/text-generation-inference; TGI 3",
    ),
    Capability(
        name="mindie",
        title="MindIE's own API",
        path="/infer",
        path_token_ids="/infer_token",  # noqa: S106 - a path
        prompt={"text": "inputs", "token_ids": "input_id"},
        fixed={"parameters.details": True},
        streamed=_STREAM,
        asks={**_NO_STOP, "ignore_eos": "parameters.ignore_eos"},
        reports={"output_tokens": "details.generated_tokens"},
        model="",
        end="generated_text",
        source="hiascend.com MindIE 2.1: mindie_service0010, 0091, 0266; AISBench mindie_stream_api.py",
    ),
    Capability(
        name="mindspore",
        title="MindSpore Serving",
        path="/models/{model}/generate_stream",
        path_whole="/models/{model}/generate",
        prompt={"text": "inputs"},
        fixed={"parameters.return_full_text": False},
        asks=_inside(
            "parameters", max_tokens="max_new_tokens", temperature="temperature", top_p="top_p", top_k="top_k"
        ),
        model="",
        end="",
        end_unmarked=True,
        source="MindSpore Serving: client and README of mindspore-lab/llm-serving",
    ),
    Capability(
        name="triton",
        title="Triton with its vLLM backend",
        path="/v2/models/{model}/generate_stream",
        path_whole="/v2/models/{model}/generate",
        prompt={"text": "text_input"},
        fixed={"parameters.exclude_input_in_output": True},
        streamed={"parameters.stream": True},
        whole={"parameters.stream": False},
        # Parameters are numbers, booleans and strings; a list, as of stop strings, is refused.
        asks=_inside("parameters", **{name: field for name, field in _OPENAI_ASKS.items() if name != "stop"}),
        model="",
        end="",
        end_unmarked=True,
        source="docs.nvidia.com Triton: protocol/extension_generate; vllm_backend samples/client.py; "
        "triton-inference-server/server issue 6508",
    ),
    Capability(
        name="trtllm",
        title="Triton with TensorRT-LLM",
        path="/v2/models/{model}/generate_stream",
        path_whole="/v2/models/{model}/generate",
        prompt={"text": "text_input"},
        streamed=_STREAM,
        asks={
            "max_tokens": "max_tokens",
            "min_tokens": "min_length",
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "stop": "stop_words",
        },
        model="",
        end="",
        end_unmarked=True,
        source="triton-inference-server/tensorrtllm_backend: inflight_batcher_llm ensemble",
    ),
    Capability(
        name="anthropic",
        title="Anthropic messages",
        path="/v1/messages",
        prompt=_CHAT,
        streamed=_STREAM,
        asks={**_SAMPLING, "max_tokens": "max_tokens", "stop": "stop_sequences"},
        reports={
            "input_tokens": "usage.input_tokens",
            "output_tokens": "usage.output_tokens",
            "cached_tokens": "usage.cache_read_input_tokens",
        },
        end="message_stop",
        headers={"anthropic-version": "2023-06-01"},
        key=("x-api-key", ""),
        source="docs.anthropic.com/en/api/messages, messages-streaming",
    ),
    Capability(
        name="dashscope",
        title="DashScope (Alibaba Cloud Model Studio)",
        path="/api/v1/services/aigc/text-generation/generation",
        prompt={"messages": "input.messages"},
        fixed={"parameters.result_format": "message"},
        streamed={"parameters.incremental_output": True},
        asks=_inside(
            "parameters",
            max_tokens="max_tokens",
            temperature="temperature",
            top_p="top_p",
            top_k="top_k",
            stop="stop",
        ),
        reports={
            "input_tokens": "usage.input_tokens",
            "output_tokens": "usage.output_tokens",
            "reasoning_tokens": "usage.output_tokens_details.reasoning_tokens",
            "cached_tokens": "usage.prompt_tokens_details.cached_tokens",
        },
        end="finish_reason",
        stream_headers={"X-DashScope-SSE": "enable"},
        source="help.aliyun.com/zh/model-studio: qwen-api-via-dashscope",
    ),
)

CAPABILITIES: Mapping[str, Capability] = {row.name: row for row in _ROWS}
