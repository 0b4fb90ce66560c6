"""What we measure, and what a client in user space measures, against what the engine says of the same requests.

The engine's word:

- vLLM: its histograms of /metrics, sums and counts before and after. ITL and TPOT are from the clock of its core. TTFT
  and E2EL begin when the HTTP server has read and tokenised the request and end before the answer is written, so the
  server's edge (``engines.edge``) says how long the whole took: from the kernel's receipt of the request to the write.
- llama.cpp: time of prefill and of decode, in its log and in the ``timings`` of each answer. It has no clock for
  requests that wait, so TTFT and E2EL compare with one stream only; what its HTTP server takes beside that is measured
  by a plain blocking client (``engines.llamacpp_clock``).

ITL is the mean gap per token: a server that writes two tokens at once has two, as its engine has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.clients import Asked, ClientError, Kit, Load, run_ours, run_user_space
from engines.edges import EdgeLog, Served, arrival_error_ms, edge_means
from engines.llamacpp_clock import MissingError, Timings, http_path_ms
from engines.servers import Placement, Server, counters
from engines.timed import BACKEND, timings_of
from inferometer.metrics.latency import PointData
from inferometer.record.tables import PointTable

METRICS = ("TTFT", "ITL", "TPOT", "E2EL")
RELATIVE, ABSOLUTE_MS = 0.02, 1.0
VLLM_LOADS = (Load(1, 20, 256, 64), Load(8, 64, 256, 64))
LLAMACPP_LOADS = (Load(1, 60, 256, 64), Load(8, 96, 256, 64))
# Each chunk says how many tokens there are so far: vLLM joins tokens where its HTTP server is late.
_VLLM_BODY = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}
_LLAMACPP_BODY = {"cache_prompt": False}
_HISTOGRAMS = {
    "TTFT": "vllm:time_to_first_token_seconds",
    "ITL": "vllm:inter_token_latency_seconds",
    "TPOT": "vllm:request_time_per_output_token_seconds",
    "E2EL": "vllm:e2e_request_latency_seconds",
}
_WARM_REQUESTS = 2
Means = dict[str, float]


@dataclass(frozen=True)
class Side:
    """One client's run. Means in ms.

    Attributes:
        client: who.
        measured: by the client.
        engine: by the engine's own clock.
        server: by the whole server, HTTP edge included; of metrics for which the engine's clock is not the whole.
        wait_share: of the time, the client was ready to run and had no core.
        notes: what else is known: chunk times, requests one by one, a verdict.
    """

    client: str
    measured: Means
    engine: Means
    server: Means
    wait_share: float
    notes: dict[str, Any] = field(default_factory=dict)

    def truth(self, metric: str) -> float | None:
        """What the client should have measured."""
        return self.server.get(metric, self.engine.get(metric))

    def off_ms(self, metric: str) -> float | None:
        """How far it is from that."""
        truth = self.truth(metric)
        return None if truth is None else self.measured[metric] - truth

    def within(self, metric: str) -> bool | None:
        """Whether that is 2 % or 1 ms at most."""
        off, truth = self.off_ms(metric), self.truth(metric)
        return None if off is None or truth is None else abs(off) <= max(RELATIVE * truth, ABSOLUTE_MS)


class Clock:
    """The engine's clock over a stretch: from when this is made to ``means``."""

    def __init__(self, server: Server, load: Load) -> None:
        self._server, self._load = server, load
        self._timings = Timings(server.log)
        self._before = counters(server)

    def means(self) -> Means:
        """Means of what the engine has timed since.

        Raises:
            ClientError: that is not exactly the load's requests and tokens.
        """
        if self._server.engine != "vllm":
            return self._of_llamacpp()
        after = counters(self._server)
        found: Means = {}
        for metric, name in _HISTOGRAMS.items():
            count, total = (
                after[f"{name}_{of}"] - self._before.get(f"{name}_{of}", 0) for of in ("count", "sum")
            )
            expected = self._load.requests * (self._load.tokens - 1 if metric == "ITL" else 1)
            if count != expected:
                raise ClientError(f"{name} counted {count:.0f}, not {expected}")
            found[metric] = total / count * 1e3
        return found

    def _of_llamacpp(self) -> Means:
        try:
            prefill_ms, decode_ms = self._timings.read(self._load.requests, self._load.tokens)
        except MissingError as error:
            raise ClientError(str(error)) from error
        per_token_ms = decode_ms / (self._load.tokens - 1)
        found = {"ITL": per_token_ms, "TPOT": per_token_ms}
        if self._load.streams == 1:
            found |= {"TTFT": prefill_ms, "E2EL": prefill_ms + decode_ms}
        return found


def compare(server: Server, load: Load, place: Placement, kit: Kit) -> list[Side]:
    """Ours, then the client in user space with the same prompts; a few requests before them to warm up."""
    edges = EdgeLog(server.edge) if server.edge else None
    vllm = server.engine == "vllm"
    asked = Asked("openai-completions", _VLLM_BODY) if vllm else Asked(BACKEND, _LLAMACPP_BODY)
    run_ours(server, Load(load.streams, _WARM_REQUESTS * load.streams, 64, 16), place, kit, asked)
    if edges:
        edges.new()  # the requests that warmed up
    clock = Clock(server, load)
    record = run_ours(server, load, place, kit, asked)
    (table,) = record.measured
    verdict = record.meta.verdict or {}
    ours = _ours(table, clock.means(), _served(edges, load), load)
    ours.notes["verdict"] = [verdict.get("word"), *verdict.get("failed", [])]
    prompts = [str(prompt) for prompt in table.text("prompt")]
    clock = Clock(server, load)
    found = run_user_space(server, load, place, kit, prompts, {} if vllm else _LLAMACPP_BODY)
    sides = [ours, _user_space(found, clock.means(), _served(edges, load), load)]
    if not vllm and load.streams == 1:
        path_ms = http_path_ms(server, prompts, place)
        for side in sides:
            side.server.update({name: side.engine[name] + path_ms for name in ("TTFT", "E2EL")})
    return sides


def _served(edges: EdgeLog | None, load: Load) -> dict[str, Served]:
    found = edges.new() if edges else {}
    if edges and len(found) != load.requests:
        raise ClientError(f"the server's HTTP edge noted {len(found)} requests, not {load.requests}")
    return found


def _ours(table: PointTable, engine: Means, served: dict[str, Served], load: Load) -> Side:
    data = PointData(table, "sent")
    ok = int(data.ok.sum())
    if ok != load.requests or not np.all(data.output_tokens == load.tokens):
        raise ClientError(f"{ok} of {load.requests} of our requests were answered as asked")
    tokens = data.itl_token_ms
    measured = {
        "TTFT": float(data.ttft_ms.mean()),
        "ITL": float(tokens.mean()) if len(tokens) else float("nan"),
        "TPOT": float(data.tpot_ms.mean()),
        "E2EL": float(data.e2el_ms.mean()),
    }
    health = table.point.health
    wait_s = sum(one.run_queue_wait_s or 0.0 for one in health)
    notes: dict[str, Any] = {
        "realtime": bool(health) and all(one.realtime for one in health),
        "gaps": [len(tokens), load.requests * (load.tokens - 1)],
        "itl_step_ms": float(data.itl_ms.mean()),
        "lag_p99_ms": _percentile(table.chunks["lag_ns"], 99),
    }
    if served:
        notes["arrival"] = _sizes(arrival_error_ms(table, served))
    timings = timings_of(table)
    if any(timings):
        notes["each_tpot"] = _sizes(data.tpot_ms - _each(timings, "predicted_per_token_ms", data))
        if load.streams == 1:
            prefill_ms = _each(timings, "prompt_ms", data)
            notes["each_ttft"] = _sizes(data.ttft_ms - prefill_ms)
            notes["each_e2el"] = _sizes(data.e2el_ms - prefill_ms - _each(timings, "predicted_ms", data))
    server = edge_means(served.values()) if served else {}
    notes["unread_ms"] = server.pop("unread", None)
    wall_s = sum(one.wall_s for one in health)
    return Side("inferometer", measured, engine, server, wait_s / wall_s, notes)


def _each(timings: list[dict[str, Any]], name: str, data: PointData) -> Any:
    values = np.array([one.get(name, np.nan) for one in timings], np.float64)
    return values[data.ok]


def _user_space(found: dict[str, Any], engine: Means, served: dict[str, Served], load: Load) -> Side:
    requests = found["requests"]
    ttft_s = np.array([one["ttft_s"] for one in requests])
    latency_s = np.array([one["latency_s"] for one in requests])
    measured = {
        "TTFT": float(ttft_s.mean()) * 1e3,
        "ITL": float(np.concatenate([one["itl_s"] for one in requests]).mean()) * 1e3,
        "TPOT": float(((latency_s - ttft_s) / (load.tokens - 1)).mean()) * 1e3,
        "E2EL": float(latency_s.mean()) * 1e3,
    }
    server = edge_means(served.values()) if served else {}
    notes = {"unread_ms": server.pop("unread", None)}
    return Side("user-space client", measured, engine, server, found["wait_s"] / found["wall_s"], notes)


def _sizes(values: Any) -> dict[str, float]:
    """Mean, and percentiles of the size."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"n": 0}
    p50, p99, most = np.percentile(np.abs(known), (50, 99, 100))
    return {
        "n": len(known),
        "mean": float(known.mean()),
        "least": float(known.min()),
        "p50": float(p50),
        "p99": float(p99),
        "max": float(most),
    }


def _percentile(lag_ns: Any, percentile: float) -> float | None:
    known = lag_ns[~np.isnan(lag_ns)]
    return float(np.percentile(known, percentile)) / 1e6 if len(known) else None
