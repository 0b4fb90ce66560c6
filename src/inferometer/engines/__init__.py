"""Engines: start, wait for, warm up, ask and stop them; several nodes; engines inside this process."""

from inferometer.registry import Registry

ENGINES = Registry(
    "engine",
    {
        "command": "inferometer.engines.adapters.command:Command",
        "llamacpp": "inferometer.engines.adapters.llamacpp:LlamaCpp",
        "lmdeploy": "inferometer.engines.adapters.lmdeploy:LMDeploy",
        "mindie": "inferometer.engines.adapters.mindie:MindIE",
        "sglang": "inferometer.engines.adapters.sglang:SGLang",
        "sim": "inferometer.engines.adapters.sim:Sim",
        "tgi": "inferometer.engines.adapters.tgi:TGI",
        "vllm": "inferometer.engines.adapters.vllm:VLLM",
    },
    group="inferometer.engines",
)
