"""A client that takes its times in user space: vLLM bench's own request function, driven as its bench drives it.

    PYTHON user_client.py < ORDER > RESULT      with the Python of vLLM's environment

The function is loaded from its file (``vllm/benchmarks/lib/endpoint_request_func.py``), so that nothing else of vLLM is
imported. ORDER: {"function", "url", "model", "prompts", "tokens", "streams",
"extra_body", "keep_alive"}; RESULT: {"requests": [{"id",
"start_s", "ttft_s", "latency_s", "itl_s", "tokens", "ok"}], "wait_s", "wall_s"}, times of CLOCK_MONOTONIC; wait_s is
how long it was ready to run but had no core while the load was on (/proc/self/schedstat, second field).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp


async def put_load(functions: Any, order: dict[str, Any]) -> list[dict[str, Any]]:
    """All requests, ``streams`` at a time, with the connector that ``vllm bench serve`` uses."""
    permits = asyncio.Semaphore(order["streams"])
    connector = aiohttp.TCPConnector(
        limit=order["streams"], limit_per_host=order["streams"], force_close=not order["keep_alive"]
    )
    async with aiohttp.ClientSession(
        connector=connector, trust_env=True, timeout=functions.AIOHTTP_TIMEOUT
    ) as session:

        async def one(number: int, prompt: str) -> dict[str, Any]:
            asked = functions.RequestFuncInput(
                prompt=prompt,
                api_url=f"{order['url']}/v1/completions",
                prompt_len=0,
                output_len=order["tokens"],
                model=order["model"],
                ignore_eos=True,
                request_id=f"user-{number}",
                extra_body=order["extra_body"],
            )
            async with permits:
                got = await functions.async_request_openai_completions(asked, session)
            return {
                "id": f"cmpl-user-{number}",
                "start_s": got.start_time,
                "ttft_s": got.ttft,
                "latency_s": got.latency,
                "itl_s": got.itl,
                "tokens": got.output_tokens,
                "ok": got.success,
            }

        return await asyncio.gather(*(one(*numbered) for numbered in enumerate(order["prompts"])))


def waited_s() -> float:
    """Ready to run without a core, since this process started."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def main() -> None:
    """Carry out the order on standard input."""
    order = json.load(sys.stdin)
    spec = importlib.util.spec_from_file_location("endpoint_request_func", order["function"])
    assert spec is not None
    assert spec.loader is not None
    functions = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = functions  # dataclasses look their module up
    spec.loader.exec_module(functions)
    waited, start = waited_s(), time.monotonic()
    requests = asyncio.run(put_load(functions, order))
    result = {"requests": requests, "wait_s": waited_s() - waited, "wall_s": time.monotonic() - start}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
