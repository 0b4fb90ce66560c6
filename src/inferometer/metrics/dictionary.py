"""The metric dictionary: every number that Inferometer shows, with its formula, unit and origin, as data."""

from __future__ import annotations

import re
import textwrap
from typing import Literal

from inferometer.metrics import concurrency, generator, prefix, sent, served, slo, steady
from inferometer.metrics import throughput as rates
from inferometer.metrics.draft_metrics import DRAFTS
from inferometer.metrics.latency import PointData
from inferometer.metrics.metric import Metric
from inferometer.registry import Registry

__all__ = ["METRICS", "Metric", "explain", "find", "names"]

_LATENCIES = (
    Metric(
        "ttft",
        "TTFT (time to first token)",
        "ms",
        "first chunk that carries output (content, reasoning or tool call) - t0",
        "first_token_ns, planned_ns or sent_ns",
        "Role-only, empty, keep-alive and usage frames do not stop the clock; in vLLM, EvalScope and AISBench they "
        "can. Absent when the answer was not streamed.",
        "request",
        lambda data: data.ttft_ms,
    ),
    Metric(
        "ttfat",
        "TTFAT (time to first answer token)",
        "ms",
        "first output chunk that is not reasoning - t0",
        "first_answer_ns, planned_ns or sent_ns",
        "Equals TTFT for a model that does not think aloud. GuideLLM: TTFOT, AIPerf: TTFO.",
        "request",
        lambda data: data.ttfat_ms,
    ),
    Metric(
        "e2el",
        "E2EL (end-to-end latency)",
        "ms",
        "last output chunk - t0",
        "last_token_ns (end_ns when not streamed), planned_ns or sent_ns",
        "The delay of usage and [DONE] frames is not in it, see tail.",
        "request",
        lambda data: data.e2el_ms,
    ),
    Metric(
        "tail",
        "Tail",
        "ms",
        "end of the exchange - last output chunk",
        "end_ns, last_token_ns",
        "SGLang, LMDeploy, EvalScope and AISBench count it as part of the latency.",
        "request",
        lambda data: data.tail_ms,
    ),
    Metric(
        "tpot",
        "TPOT (time per output token)",
        "ms",
        "(last output chunk - first output chunk) / (n - n_first), for n > n_first",
        "first_token_ns, last_token_ns, output tokens, tokens of the first chunk",
        "n_first = tokens of the first chunk, 1 if it does not say. One value per request; a request of one token "
        "has none. Equals (E2EL - TTFT) / (n - 1) of vLLM, SGLang, EvalScope and AISBench when each chunk carries "
        "one token. GuideLLM's TPOT includes TTFT.",
        "request",
        lambda data: data.tpot_ms,
    ),
    Metric(
        "itl",
        "ITL (inter-token latency, per step)",
        "ms",
        "gap between consecutive output chunks of a request that arrived in different socket reads",
        "chunks: recv_ns, kind, read",
        "All requests pooled. What vLLM, EvalScope, LMDeploy and AISBench call ITL, without the gaps of nearly 0 "
        "between chunks that came in one read.",
        "chunk",
        lambda data: data.itl_ms,
    ),
    Metric(
        "itl_token",
        "ITL (inter-token latency, per token)",
        "ms",
        "each step gap / tokens that arrived at its end, counted once per token",
        "chunks: recv_ns, kind, read, tokens",
        "All requests pooled. Right for speculative decoding and chunks of several tokens; absent for requests "
        "whose chunks have no token count: itl_token_share says how many it stands for.",
        "chunk",
        lambda data: data.itl_token_ms,
    ),
    Metric(
        "second_token_gap",
        "Second-token gap",
        "ms",
        "second arrival of output - first",
        "chunks: recv_ns, kind, read",
        "Shows the transfer of the KV cache when prefill and decode run apart.",
        "request",
        lambda data: data.second_token_gap_ms,
    ),
)

_CLIENT = (
    Metric(
        "queue_wait",
        "Queue wait in the client",
        "ms",
        "moment a permit was free - planned",
        "queued_ns, planned_ns",
        "Only requests that a concurrency limit held back. It is part of every latency from the planned time.",
        "request",
        lambda data: data.queue_wait_ms,
    ),
    Metric(
        "send_lag",
        "Send lag",
        "ms",
        "sent - planned",
        "sent_ns, planned_ns",
        "All requests that were sent, failed ones too. The verdict judges it without the wait for a permit and "
        "without the time to connect.",
        "request",
        lambda data: generator.send_lag_ms(data.table),
    ),
    Metric(
        "receive_lag",
        "Receive lag",
        "ms",
        "our read - kernel receive time",
        "chunks: lag_ns",
        "Shows how busy the client was. A kernel receive time stays right however late its chunk is read, but of "
        "chunks that wait in one socket only the last keeps its own: see blurred_chunks in requests.parquet. Absent "
        "without kernel times.",
        "chunk",
        lambda data: generator.receive_lag_ms(data.table),
    ),
    Metric(
        "connect",
        "Connect time",
        "ms",
        "connected - connection begun, TLS handshake included",
        "connect_start_ns, connect_end_ns",
        "Only requests that opened a connection.",
        "request",
        lambda data: data.connect_ms,
    ),
)

_TOKENS = (
    Metric(
        "input_tokens",
        "Input tokens per request",
        "tokens",
        "prompt tokens as the server reports them, else as the client counts them",
        "input_tokens_server, input_tokens_client",
        "A chat template adds tokens that only the server sees.",
        "request",
        lambda data: data.input_tokens,
    ),
    Metric(
        "output_tokens",
        "Output tokens per request (n)",
        "tokens",
        "completion tokens as the server reports them, else as the client counts them",
        "output_tokens_server, output_tokens_client",
        "Reasoning tokens included.",
        "request",
        lambda data: data.output_tokens,
    ),
    Metric(
        "cached_tokens",
        "Cached prompt tokens per request",
        "tokens",
        "prompt tokens that the server took from its prefix cache, as it reports them",
        "cached_tokens",
        "Unasked hits make a server look faster than it is on fresh prompts.",
        "request",
        lambda data: data.column("cached_tokens"),
    ),
)

_SENT = (
    Metric(
        "request_bytes",
        "Bytes of a request",
        "bytes",
        "head and body as written to the connection, before TLS",
        "bytes_out",
        "With pictures in data URLs it is large: sending takes time, which is part of TTFT.",
        "request",
        sent.request_bytes,
    ),
    Metric(
        "picture_bytes",
        "Bytes of the pictures of a request",
        "bytes",
        "length of the data URLs in the body; a picture's file is 3/4 of it (Base64)",
        "image_bytes",
        "Only requests with pictures; links count as nothing.",
        "request",
        sent.picture_bytes,
    ),
    Metric(
        "picture_tokens",
        "Prompt tokens per picture",
        "tokens",
        "(prompt tokens as the server reports them - those of the text as the client counts them) / pictures",
        "input_tokens_server, input_tokens_client, images",
        "Only requests with pictures. The tokens of the chat template are in it.",
        "request",
        sent.picture_tokens,
    ),
)

_SHARES = (
    Metric(
        "itl_token_share",
        "Requests that ITL per token is made of",
        "share",
        "requests with gaps whose chunks all say how many tokens they brought / requests with gaps",
        "chunks: tokens",
        "Below 1, ITL per token leaves out just the answers whose chunks the server joined. A server that says with "
        "each chunk how many tokens there are so far (vLLM, SGLang: "
        '--extra-body \'{"stream_options": {"include_usage": true, "continuous_usage_stats": true}}\') makes it 1.',
        "point",
        lambda data: data.itl_token_share,
    ),
    Metric(
        "cached_share",
        "Cached share of the prompt tokens",
        "share",
        "prompt tokens from the server's prefix cache / prompt tokens, of the successful requests",
        "cached_tokens, input tokens",
        "Absent where the server does not report it.",
        "point",
        prefix.cached_share,
    ),
    Metric(
        "expected_cached_share",
        "Cached share that the prompts imply",
        "share",
        "prompt tokens after a beginning that an earlier prompt had too / prompt tokens",
        "expected_hit_share of the data set",
        "For a cache that forgets nothing and requests in the order of their arrival. A real one caches whole blocks "
        "of its own size, and computes the last token of every prompt.",
        "point",
        prefix.expected_share,
    ),
)

_WINDOW = "Window: first send to last end of the successful requests, as EvalScope, AISBench and AIPerf."
_RATES = (
    Metric(
        "request_throughput",
        "Request throughput",
        "req/s",
        "successful requests / (last end - first sent)",
        "status, sent_ns, end_ns",
        _WINDOW,
        "point",
        rates.request_throughput,
    ),
    Metric(
        "input_throughput",
        "Input token throughput",
        "tok/s",
        "input tokens of successful requests / (last end - first sent)",
        "input tokens, sent_ns, end_ns",
        _WINDOW,
        "point",
        rates.input_throughput,
    ),
    Metric(
        "output_throughput",
        "Output token throughput",
        "tok/s",
        "output tokens of successful requests / (last end - first sent)",
        "output tokens, sent_ns, end_ns",
        _WINDOW + " Absent when a request's tokens are not known.",
        "point",
        rates.output_throughput,
    ),
    Metric(
        "total_throughput",
        "Total token throughput",
        "tok/s",
        "input and output tokens of successful requests / (last end - first sent)",
        "input and output tokens, sent_ns, end_ns",
        _WINDOW,
        "point",
        rates.total_throughput,
    ),
    Metric(
        "peak_output_throughput",
        "Peak output token throughput",
        "tok/s",
        "most output tokens that arrived within one second, in 1 s buckets from the first send",
        "chunks: recv_ns, kind, tokens",
        "Counts tokens; vLLM and SGLang count chunks. Chunks without a token count share the rest of their "
        "request's tokens.",
        "point",
        rates.peak_output_throughput,
    ),
    Metric(
        "goodput",
        "Goodput",
        "req/s",
        "successful requests that meet every limit per request / (last end - first sent)",
        "status, latencies, sent_ns, end_ns",
        "Limits as in vLLM (ttft:200 tpot:50 e2el:5000, ms), latencies from the headline origin.",
        "point",
        lambda data: _of_goodput(data, "requests_per_s"),
    ),
    Metric(
        "attainment",
        "SLO attainment",
        "share",
        "successful requests that meet every limit per request / all planned requests",
        "status, latencies, planned requests",
        "A failed request does not attain.",
        "point",
        lambda data: _of_goodput(data, "attainment"),
    ),
    Metric(
        "concurrency_mean",
        "Concurrency achieved, mean",
        "requests",
        "time-weighted mean of requests in flight, first sent to last end",
        "sent_ns, end_ns of all requests",
        "Failed requests count while they are in flight.",
        "point",
        lambda data: concurrency.concurrency_mean(data.table),
    ),
    Metric(
        "concurrency_peak",
        "Concurrency achieved, peak",
        "requests",
        "most requests in flight at one moment",
        "sent_ns, end_ns of all requests",
        "A request that ends as another starts does not overlap it.",
        "point",
        lambda data: concurrency.concurrency_peak(data.table),
    ),
)

_SERVED = (
    *(
        Metric(
            f"{name}_throughput_per_{unit[:-1]}",
            f"{label} per {unit[:-1]}",
            "tok/s",
            f"{label[0].lower()}{label[1:]} / {unit}",
            f"as {name}_throughput; --{unit}-served",
            f"Absent without --{unit}-served: an endpoint does not say what stands behind it."
            + (" Servers on several hosts are as many nodes." if unit == "nodes" else ""),
            "point",
            served.per(unit, rate),
        )
        for unit in ("nodes", "devices")
        for name, label, rate in (
            ("input", "Input token throughput", rates.input_throughput),
            ("output", "Output token throughput", rates.output_throughput),
            ("total", "Total token throughput", rates.total_throughput),
        )
    ),
    Metric(
        "output_throughput_per_user",
        "Output token throughput per user",
        "tok/s",
        "1 / TPOT, one value per request",
        "as tpot",
        "InferenceX's interactivity is 1 / median TPOT; AIPerf's Output Token Throughput Per User is this one.",
        "request",
        served.output_throughput_per_user,
    ),
)

_STEADY = tuple(
    Metric(
        f"steady_{name}_throughput",
        f"Steady {label} throughput",
        unit,
        f"{counted} inside the steady window / its length",
        source,
        "Window: while the load was held and the throughput kept its level, without ramp-up and drain; none when the "
        "load point is too short or never settled. A request counts by the share of its time that lies inside.",
        "point",
        steady.rate(name),
    )
    for name, label, unit, counted, source in (
        ("request", "request", "req/s", "successful requests, each by its share of time", "sent_ns, end_ns"),
        ("input", "input token", "tok/s", "input tokens of those, by the same share", "input tokens"),
        ("output", "output token", "tok/s", "output tokens that arrived", "chunks: recv_ns, kind, tokens"),
        ("total", "total token", "tok/s", "input and output tokens, as those two,", "as those two"),
    )
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_LATENCIES, *_CLIENT, *_TOKENS, *_SENT, *_SHARES, *_RATES, *_STEADY, *_SERVED, *DRAFTS
    )
}  # fmt: skip
"""All metrics by name, in the order in which a report shows them."""

_OTHER_NAMES = {
    "time_to_first_token": "ttft",
    "time_to_first_answer_token": "ttfat",
    "time_per_output_token": "tpot",
    "inter_token_latency": "itl",
    "itl_step": "itl",
    "end_to_end_latency": "e2el",
    "e2e": "e2el",
    "e2e_latency": "e2el",
    "concurrency": "concurrency_mean",
    "max_concurrency": "concurrency_peak",
    "total_token_throughput": "total_throughput",
    "output_token_throughput": "output_throughput",
    "input_token_throughput": "input_throughput",
    "peak_output_token_throughput": "peak_output_throughput",
    "request_goodput": "goodput",
}
_KNOWN = Registry("metric", dict.fromkeys(METRICS, "inferometer.metrics.dictionary:METRICS"))


def names() -> tuple[str, ...]:
    """Names of all metrics, in report order."""
    return tuple(METRICS)


def find(name: str) -> Metric:
    """The metric behind a name, a key (``ttft_ms``), a statistic (``p99_ttft_ms``), a label or a common synonym.

    Raises:
        UsageError: no such metric; the message suggests the nearest one.
    """
    written = re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")
    for candidate in (written, re.sub(r"^(mean|median|std|min|max|p[0-9.]+)_", "", written)):
        for variant in (candidate, re.sub(r"_(ms|per_s|tok_s|req_s)$", "", candidate)):
            if variant in METRICS or variant in _OTHER_NAMES:
                return METRICS[_OTHER_NAMES.get(variant, variant)]
    for metric in METRICS.values():
        if re.sub(r"[^a-z0-9.]+", "_", metric.label.lower()).strip("_") == written:
            return metric
    metrics: dict[str, Metric] = _KNOWN.get(written)
    return metrics[written]


def explain(name: str) -> str:
    """What a metric means, as text of a few lines.

    Raises:
        UsageError: no such metric.
    """
    metric = find(name)
    per = {
        "request": "one value per request",
        "chunk": "one value per chunk, pooled",
        "point": "one per load point",
    }
    rows = (
        ("name", f"{metric.name} (in files: {metric.key})"),
        ("unit", f"{metric.unit}, {per[metric.scope]}"),
        ("formula", metric.formula),
        ("from", metric.source),
        ("notes", metric.notes),
    )
    lines = [metric.label]
    for title, text in rows:
        lines += textwrap.wrap(text, 88, initial_indent=f"  {title:<9}", subsequent_indent=" " * 11)
    return "\n".join(lines)


def _of_goodput(data: PointData, field: Literal["requests_per_s", "attainment"]) -> float | None:
    reached = slo.goodput(data)
    return None if reached is None else getattr(reached, field)
