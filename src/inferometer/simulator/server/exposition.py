"""Counters and histograms of the simulated server in Prometheus' text format, under vLLM's names."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from inferometer.simulator.engine import Engine, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TTFT_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
)
_ITL_S = (
    0.001,
    0.0025,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.75,
    1,
    2.5,
    5,
)
_E2E_S = (0.01, 0.03, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960)
_LAG_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)


class Histogram:
    """Observations in seconds, counted per bucket."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def observe(self, value_s: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds_s, value_s)] += 1
        self.sum_s += value_s


class ServerMetrics:
    """What the server counts; ``render`` adds the engine's gauges."""

    def __init__(self, model: str, speculative_tokens: int = 0) -> None:
        escaped = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        self._labels = f'engine="0",model_name="{escaped}"'
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.drafts = 0
        self.draft_tokens = 0
        self.accepted_at = [0] * speculative_tokens  # by position of the draft token
        self.queried_tokens = 0
        self.cached_tokens = 0
        self.finished = {"stop": 0, "length": 0, "abort": 0}
        self.ttft = Histogram(_TTFT_S)
        self.itl = Histogram(_ITL_S)
        self.e2e = Histogram(_E2E_S)
        self.step_lag = Histogram(_LAG_S)

    def queried(self, sequence: Sequence) -> None:
        """The prefix cache was asked for the prompt of ``sequence``."""
        if sequence.names is not None:
            self.queried_tokens += sequence.prompt_tokens
            self.cached_tokens += sequence.cached

    def drafted(self, checked: Iterable[tuple[int, int]]) -> None:
        """Drafts were checked: tokens of each, and how many of them were right."""
        for tokens, right in checked:
            self.drafts += 1
            self.draft_tokens += tokens
            for position in range(right):
                self.accepted_at[position] += 1

    def render(self, engine: Engine, num_blocks: int) -> bytes:
        """The text of ``GET /metrics``."""
        lines: list[str] = []
        gauges = {
            "vllm:num_requests_running": ("Sequences in the running set.", engine.num_running),
            "vllm:num_requests_waiting": ("Sequences in the queue.", engine.num_waiting),
            "vllm:kv_cache_usage_perc": (
                "KV blocks in use; 1 means all.",
                engine.kv_blocks_used / num_blocks,
            ),
        }
        for name, (text, value) in gauges.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name}{{{self._labels}}} {value}"]
        counters = {
            "vllm:prompt_tokens_total": ("Prompt tokens computed.", self.prompt_tokens),
            "vllm:generation_tokens_total": ("Tokens generated.", self.generation_tokens),
            "vllm:prefix_cache_queries_total": (
                "Prompt tokens that were looked for in the prefix cache.",
                self.queried_tokens,
            ),
            "vllm:prefix_cache_hits_total": (
                "Prompt tokens that were found in the prefix cache.",
                self.cached_tokens,
            ),
            "vllm:num_preemptions_total": ("Sequences that lost their KV blocks.", self.preemptions),
        }
        if self.accepted_at:
            counters |= self._speculation()
        for name, (text, value) in counters.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter", f"{name}{{{self._labels}}} {value}"]
        lines += self._positions()
        name = "vllm:request_success_total"
        lines += [f"# HELP {name} Requests that ended, by reason.", f"# TYPE {name} counter"]
        for reason, count in self.finished.items():
            lines.append(f'{name}{{{self._labels},finished_reason="{reason}"}} {count}')
        for name, text, histogram in (
            ("vllm:time_to_first_token_seconds", "Arrival to first token.", self.ttft),
            ("vllm:time_per_output_token_seconds", "Gap between two tokens.", self.itl),
            ("vllm:inter_token_latency_seconds", "Gap between two tokens.", self.itl),
            ("vllm:e2e_request_latency_seconds", "Arrival to last token.", self.e2e),
            ("inferometer_sim:step_lag_seconds", "Delay of a step behind its own model.", self.step_lag),
        ):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} histogram", *self._histogram(name, histogram)]
        return ("\n".join(lines) + "\n").encode()

    def _speculation(self) -> dict[str, tuple[str, int]]:
        return {
            "vllm:spec_decode_num_drafts_total": ("Drafts that were checked.", self.drafts),
            "vllm:spec_decode_num_draft_tokens_total": ("Tokens in them.", self.draft_tokens),
            "vllm:spec_decode_num_accepted_tokens_total": ("Those that were right.", sum(self.accepted_at)),
        }

    def _positions(self) -> list[str]:
        name = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
        lines = [f"# HELP {name} Tokens that were right, by position.", f"# TYPE {name} counter"]
        counted = [
            f'{name}{{{self._labels},position="{position}"}} {count}'
            for position, count in enumerate(self.accepted_at)
        ]
        return lines + counted if counted else []

    def _histogram(self, name: str, histogram: Histogram) -> list[str]:
        lines: list[str] = []
        total = 0
        for bound, count in zip((*histogram.bounds_s, "+Inf"), histogram.counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{self._labels},le="{bound}"}} {total}')
        lines.append(f"{name}_sum{{{self._labels}}} {histogram.sum_s}")
        lines.append(f"{name}_count{{{self._labels}}} {total}")
        return lines
