"""What an engine is asked to do with a model."""

from __future__ import annotations

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine is asked for, as far as a model's files can speak to it; None = the engine's own default.

    Attributes:
        tensor_parallel, pipeline_parallel, data_parallel: how many of each.
        expert_parallel: whether experts are spread over the ranks.
        max_model_len: most tokens of prompt and answer.
        max_num_seqs: most sequences in a step.
        dtype, kv_cache_dtype, quantization: as the engine names them.
        device: name of the accelerator, as ``nvidia-smi`` or ``npu-smi`` writes it.
        env: further environment variables of the engine.
        flags: names of its other flags, as ``--load-format``: some make it accept what it would refuse.
    """

    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    data_parallel: int | None = None
    expert_parallel: bool | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    dtype: str | None = None
    kv_cache_dtype: str | None = None
    quantization: str | None = None
    device: str | None = None
    env: dict[str, str] = {}
    flags: frozenset[str] = frozenset()
