"""What servers tell of themselves: models, versions, limits, as each engine words it.

Source: vLLM 0.32, entrypoints/serve/{instrumentator,dev}, openai/models; SGLang 0.5, entrypoints/http_server.py; TGI 3,
router/src/lib.rs; Triton protocol/extension_model_repository; MindIE 2.1.
"""

from __future__ import annotations

from typing import Any

from inferometer.simulator.server.generation import ApiError
from inferometer.simulator.server.settings import SimSettings
from inferometer.version import __version__

OWNER = "inferometer-simulator"


class Pages:
    """Objects to be sent as JSON.

    Args:
        settings: what is told.
        created_s: start of the server in seconds since 1970.
    """

    def __init__(self, settings: SimSettings, created_s: int) -> None:
        self._settings = settings
        self._created_s = created_s

    def models(self) -> dict[str, Any]:
        """OpenAI's list of models."""
        return {"object": "list", "data": [self._card(name) for name in self._settings.models]}

    def model(self, name: str) -> dict[str, Any]:
        """One of them.

        Raises:
            ApiError: 404.
        """
        if name not in self._settings.models:
            raise ApiError(404, f"the model {name!r} does not exist; this server has "
                                f"{', '.join(map(repr, self._settings.models))}", "model")  # fmt: skip
        return self._card(name)

    def version(self) -> dict[str, str]:
        """VLLM's page, with the name of what answers."""
        return {"version": __version__, "engine": OWNER}

    def server_info(self) -> dict[str, Any]:
        """VLLM's page of a server in development mode."""
        settings = self._settings
        limits = (
            "max_num_seqs",
            "max_num_batched_tokens",
            "max_model_len",
            "block_size",
            "num_blocks",
            "seed",
        )
        return {"vllm_config": {name: getattr(settings, name) for name in ("model", *limits)}}

    def sglang_model(self) -> dict[str, Any]:
        """SGLang's ``/get_model_info``."""
        model = self._settings.model
        return {
            "model_path": model,
            "tokenizer_path": model,
            "is_generation": True,
            "preferred_sampling_params": None,
            "weight_version": "default",
        }

    def sglang_server(self, load: int) -> dict[str, Any]:
        """SGLang's ``/get_server_info``."""
        settings = self._settings
        return {
            "model_path": settings.model,
            "served_model_name": settings.model,
            "context_length": settings.max_model_len,
            "max_running_requests": settings.max_num_seqs,
            "chunked_prefill_size": settings.max_num_batched_tokens,
            "page_size": settings.block_size,
            "max_total_num_tokens": settings.num_blocks * settings.block_size,
            "disable_radix_cache": not settings.prefix_cache,
            "tp_size": 1,
            "dp_size": 1,
            "random_seed": settings.seed,
            "internal_states": [{"num_reqs": load}],
            "version": __version__,
        }

    def tgi_info(self) -> dict[str, Any]:
        """TGI's ``/info``."""
        settings = self._settings
        return {
            "model_id": settings.model,
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": settings.max_num_seqs,
            "max_best_of": 1,
            "max_stop_sequences": 4,
            "max_input_tokens": settings.max_model_len - 1,
            "max_total_tokens": settings.max_model_len,
            "validation_workers": 1,
            "max_client_batch_size": 1,
            "router": OWNER,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }

    def triton_model(self, name: str) -> dict[str, Any]:
        """The metadata of a model in Triton.

        Raises:
            ApiError: 404.
        """
        self.model(name)
        return {"name": name, "versions": ["1"], "platform": OWNER, "inputs": [], "outputs": []}

    def _card(self, name: str) -> dict[str, Any]:
        settings = self._settings
        return {
            "id": name,
            "object": "model",
            "created": self._created_s,
            "owned_by": OWNER,
            "root": settings.model,
            "parent": None if name == settings.model else settings.model,
            "max_model_len": settings.max_model_len,
        }
