"""Counters and histograms of the simulated server in Prometheus' text format, under vLLM's names.

Names, labels and bucket bounds are those of vLLM's ``v1/metrics/loggers.py`` and ``buckets.py``. All times are those of
this server's clock, as clients see them: with a time scale of 2 they are twice as long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.server.settings import SimSettings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TTFT_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_ITL_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0),
    *(480.0, 960.0, 1920.0, 7680.0),
)
_STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_SEQUENCES = (1, 2, 5, 10, 20)
_PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)
_LAG_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1)


def _request_tokens(max_model_len: int) -> tuple[int, ...]:
    """1, 2, 5, 10 ... up to the context."""
    series = (digit * 10**power for power in range(len(str(max_model_len))) for digit in (1, 2, 5))
    return tuple(bound for bound in series if bound <= max_model_len)


class Histogram:
    """Observations, counted per bucket."""

    def __init__(self, text: str, bounds: tuple[float, ...]) -> None:
        self.text = text
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Count one observation, or several of one value."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.sum += value * count


class ServerMetrics:
    """What the server counts; ``render`` adds the instance's gauges."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._labels = f'engine="0",model_name="{_escaped(settings.model)}"'
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.drafts = 0
        self.draft_tokens = 0
        self.accepted_at = [0] * settings.speculative_tokens  # by position of the draft token
        self.queried_tokens = 0
        self.cached_tokens = 0
        self.finished = {"stop": 0, "length": 0, "abort": 0}
        tokens = _request_tokens(settings.max_model_len)
        self.ttft = Histogram("Arrival to first token.", _TTFT_S)
        self.itl = Histogram("Gap between the tokens of two steps.", _ITL_S)
        self.tpot = Histogram("First to last token over the tokens after the first, by request.", _ITL_S)
        self.e2e = Histogram("Arrival to last token.", _REQUEST_S)
        self.queue = Histogram("Time of a request in the queue.", _REQUEST_S)
        self.prefill = Histogram("First scheduled to first token.", _REQUEST_S)
        self.decode = Histogram("First to last token.", _REQUEST_S)
        self.inference = Histogram("First scheduled to last token.", _REQUEST_S)
        self.step_tokens = Histogram("Tokens of a step.", _STEP_TOKENS)
        self.request_prompt = Histogram("Prompt tokens of a request.", tokens)
        self.request_output = Histogram("Output tokens of a request.", tokens)
        self.computed = Histogram("Prompt tokens of a request that no cache had.", tokens)
        self.max_tokens = Histogram("Output tokens that a request allowed.", tokens)
        self.params_n = Histogram("Answers that a request asked for.", _SEQUENCES)
        self.request_preemptions = Histogram("How often a request lost its KV blocks.", _PREEMPTIONS)
        self.step_lag = Histogram("Delay of a step behind its own model.", _LAG_S)

    def stepped(self, step: Step, lag_s: float) -> None:
        """A step ended, this long ago."""
        self.step_lag.observe(lag_s)
        self.step_tokens.observe(step.shape.tokens)
        self.preemptions += len(step.preempted)
        self._drafted(step.checked)

    def begun(self, sequence: Sequence, ttft_s: float) -> None:
        """The first token of ``sequence`` came."""
        self.ttft.observe(ttft_s)
        self.prompt_tokens += sequence.prompt_tokens
        if sequence.job.names is not None:
            self.queried_tokens += sequence.prompt_tokens
            self.cached_tokens += sequence.cached

    def ended(self, sequence: Sequence, reason: str, e2el_s: float, max_tokens: int) -> None:
        """The last token of ``sequence`` came."""
        self.finished[reason] += 1
        self.e2e.observe(e2el_s)
        scheduled_ns, first_ns, last_ns = (
            sequence.scheduled_ns,
            sequence.first_token_ns,
            sequence.last_token_ns,
        )
        assert scheduled_ns is not None
        assert first_ns is not None
        assert last_ns is not None
        self.queue.observe((scheduled_ns - sequence.arrival_ns) / 1e9)
        self.prefill.observe((first_ns - scheduled_ns) / 1e9)
        self.decode.observe((last_ns - first_ns) / 1e9)
        self.inference.observe((last_ns - scheduled_ns) / 1e9)
        if sequence.output_tokens > 1:
            self.tpot.observe((last_ns - first_ns) / 1e9 / (sequence.output_tokens - 1))
        self.request_prompt.observe(sequence.prompt_tokens)
        self.request_output.observe(sequence.output_tokens)
        self.computed.observe(sequence.prompt_tokens - sequence.cached)
        self.max_tokens.observe(max_tokens)
        self.request_preemptions.observe(sequence.preemptions)

    def _drafted(self, checked: Iterable[tuple[int, int]]) -> None:
        for tokens, right in checked:
            self.drafts += 1
            self.draft_tokens += tokens
            for position in range(right):
                self.accepted_at[position] += 1

    def render(self, instance: Instance) -> bytes:
        """The text of ``GET /metrics``."""
        lines = [
            *self._gauges(instance),
            *self._counters(),
            *self._by_label(),
            *self._histograms(),
        ]
        return ("\n".join(lines) + "\n").encode()

    def _gauges(self, instance: Instance) -> Iterator[str]:
        waiting = instance.num_waiting
        used = instance.kv_blocks_used / self._settings.num_blocks
        for name, text, value in (
            ("vllm:num_requests_running", "Sequences in the running set.", instance.num_running),
            ("vllm:num_requests_waiting", "Sequences in the queue.", waiting),
            ("vllm:kv_cache_usage_perc", "KV blocks in use; 1 means all.", used),
        ):
            yield from _family(name, text, "gauge", [(self._labels, value)])
        reasons = [
            (f'{self._labels},reason="capacity"', waiting),
            (f'{self._labels},reason="deferred"', 0),
        ]
        name = "vllm:num_requests_waiting_by_reason"
        yield from _family(name, "Sequences in the queue, by reason.", "gauge", reasons)
        blocks, size = self._settings.num_blocks, self._settings.block_size
        caching = instance.limits.prefix_cache
        config = (
            f'block_size="{size}",enable_prefix_caching="{caching}",engine="0",'
            f'kv_cache_size_tokens="{blocks * size}",num_gpu_blocks="{blocks}"'
        )
        yield from _family("vllm:cache_config_info", "The KV cache.", "gauge", [(config, 1)])

    def _counters(self) -> Iterator[str]:
        counters: list[tuple[str, str, float]] = [
            ("prompt_tokens", "Prompt tokens of requests whose first token came.", self.prompt_tokens),
            ("prompt_tokens_cached", "Of them, those that the prefix cache had.", self.cached_tokens),
            ("generation_tokens", "Tokens generated.", self.generation_tokens),
            ("prefix_cache_queries", "Prompt tokens looked for in the prefix cache.", self.queried_tokens),
            ("prefix_cache_hits", "Prompt tokens that the prefix cache had.", self.cached_tokens),
            ("num_preemptions", "Sequences that lost their KV blocks.", self.preemptions),
        ]
        if self.accepted_at:
            counters += [
                ("spec_decode_num_drafts", "Drafts that were checked.", self.drafts),
                ("spec_decode_num_draft_tokens", "Tokens in them.", self.draft_tokens),
                ("spec_decode_num_accepted_tokens", "Those that were right.", sum(self.accepted_at)),
            ]
        for name, text, value in counters:
            yield from _family(f"vllm:{name}_total", text, "counter", [(self._labels, value)])

    def _by_label(self) -> Iterator[str]:
        sources = {
            "local_compute": self.prompt_tokens - self.cached_tokens,
            "local_cache_hit": self.cached_tokens,
            "external_kv_transfer": 0,
        }
        positions = {str(position): count for position, count in enumerate(self.accepted_at)}
        for name, text, label, found in (
            ("prompt_tokens_by_source", "Prompt tokens, by source.", "source", sources),
            ("request_success", "Requests that ended, by reason.", "finished_reason", self.finished),
            (
                "spec_decode_num_accepted_tokens_per_pos",
                "Tokens that were right, by position.",
                "position",
                positions,
            ),
        ):
            series = [(f'{self._labels},{label}="{value}"', count) for value, count in found.items()]
            if series:
                yield from _family(f"vllm:{name}_total", text, "counter", series)

    def _histograms(self) -> Iterator[str]:
        for name, histogram in (
            ("vllm:time_to_first_token_seconds", self.ttft),
            ("vllm:time_per_output_token_seconds", self.itl),  # its name before vLLM 0.11
            ("vllm:inter_token_latency_seconds", self.itl),
            ("vllm:request_time_per_output_token_seconds", self.tpot),
            ("vllm:e2e_request_latency_seconds", self.e2e),
            ("vllm:request_queue_time_seconds", self.queue),
            ("vllm:request_inference_time_seconds", self.inference),
            ("vllm:request_prefill_time_seconds", self.prefill),
            ("vllm:request_decode_time_seconds", self.decode),
            ("vllm:iteration_tokens_total", self.step_tokens),
            ("vllm:request_prompt_tokens", self.request_prompt),
            ("vllm:request_generation_tokens", self.request_output),
            ("vllm:request_prefill_kv_computed_tokens", self.computed),
            ("vllm:request_max_num_generation_tokens", self.request_output),
            ("vllm:request_params_max_tokens", self.max_tokens),
            ("vllm:request_params_n", self.params_n),
            ("vllm:request_num_preemptions", self.request_preemptions),
            ("inferometer_sim:step_lag_seconds", self.step_lag),
        ):
            yield f"# HELP {name} {histogram.text}"
            yield f"# TYPE {name} histogram"
            total = 0
            for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
                total += count
                yield f'{name}_bucket{{{self._labels},le="{bound}"}} {total}'
            yield f"{name}_sum{{{self._labels}}} {histogram.sum}"
            yield f"{name}_count{{{self._labels}}} {total}"


def _family(name: str, text: str, kind: str, series: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in series:
        yield f"{name}{{{labels}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
