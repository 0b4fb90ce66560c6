"""Rules that need several fields: what was asked must be possible and must not contradict itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

from inferometer.spec.cluster_rules import cluster_problems
from inferometer.spec.data_rules import data_problems
from inferometer.spec.endpoint import NO_METRICS, Endpoint
from inferometer.spec.endpoint_rules import endpoint_problems, server_problems
from inferometer.spec.launch_rules import launch_problems
from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem, raise_problems
from inferometer.spec.shape_rules import shape_problems
from inferometer.spec.simulation_rules import simulation_problems
from inferometer.spec.sweep_rules import sweep_problems
from inferometer.spec.url import shown_url, without_credentials

MAX_WORKERS = 64  # each is a whole interpreter; one of them carries a thousand streams
_OURS_IN_BODY = {
    "model": "--model",
    "stream": "--stream/--no-stream",
    "messages": "--dataset",
    "prompt": "--dataset",
}


def check_spec(spec: RunSpec) -> None:
    """Refuse what cannot be carried out.

    Looks at the file system for paths that are named, and at nothing else. What is inside a data set, a
    tokenizer or an SLO is checked by the rooms that read them.

    Raises:
        UsageError: names every contradiction at once, each with a next step.
    """
    raise_problems(
        chain(
            simulation_problems(spec) if spec.simulation.wanted else _served(spec),
            _load(spec),
            cluster_problems(spec),
            sweep_problems(spec),
            shape_problems(spec),
            data_problems(spec),
            _request(spec),
        )
    )


def _served(spec: RunSpec) -> Iterator[Problem]:
    """What is wrong with the server that is to be measured."""
    yield from _urls(spec.endpoint, launched=spec.launch.command is not None)
    yield from launch_problems(spec)
    yield from endpoint_problems(spec.endpoint)
    yield from server_problems(spec)


def _urls(endpoint: Endpoint, launched: bool) -> Iterator[Problem]:
    if not endpoint.url and not launched:
        step = 'give --url http://HOST:8000, or --launch "vllm serve MODEL"; or try `inferometer demo`'
        yield Problem("--url is missing", step)
        return
    if endpoint.url:
        yield from _url(endpoint.url, "--url")
    for url in endpoint.more_url:
        yield from _url(url, "--more-url")
    for url in endpoint.metrics_url:
        if url != NO_METRICS:
            yield from _url(url, "--metrics-url")
    if endpoint.endpoint is not None:
        yield from _path(endpoint.endpoint)


def _url(url: str, flag: str) -> Iterator[Problem]:
    step = f"write {flag} http://HOST:PORT"
    parts = urlsplit(url)
    if "@" in parts.netloc:
        yield Problem(
            f"{flag} holds a user name or password, which would be stored with the run",
            "put it into --header 'Authorization: Basic ...'",
        )
        return
    shown = shown_url(url)
    if parts.scheme not in ("http", "https"):
        if "://" not in url:
            step = f"did you mean {flag} http://{shown.rpartition('@')[2]}?"
        yield Problem(f"{flag} {shown!r} does not begin with http:// or https://", step)
        return
    try:
        port_ok = parts.port != 0
    except ValueError:
        port_ok = False
    if not parts.hostname or not port_ok or re.search(r"\s", url):
        yield Problem(f"{flag} {shown!r} has no usable host and port", step)
    elif not url.isascii():
        yield Problem(
            f"{flag} {shown!r} holds signs that are not ASCII",
            "percent-encode the path, and write the host name as xn--... or as IP address",
        )


def _path(path: str) -> Iterator[Problem]:
    shown = without_credentials(path)
    if not path.startswith("/"):
        yield Problem(f"--endpoint {shown!r} is not a path", f"write --endpoint /{shown}")
    if not path.isascii() or not path.isprintable() or " " in path:
        yield Problem(
            f"--endpoint {shown!r} holds blanks or signs that are not ASCII", "percent-encode them (%20)"
        )


def _load(spec: RunSpec) -> Iterator[Problem]:
    rates = spec.load.request_rate or ()
    bounded = spec.load.num_prompts is not None or spec.load.max_concurrency is not None
    if any(math.isinf(rate) for rate in rates) and spec.load.duration_s is not None and not bounded:
        yield Problem(
            "--request-rate inf sends all requests at once, and --duration does not say how many",
            "give --num-prompts N, or --max-concurrency N to keep N in flight",
        )
    if spec.load.workers != "auto" and spec.load.workers > MAX_WORKERS:
        yield Problem(
            f"--workers {spec.load.workers} is above {MAX_WORKERS}",
            "give --workers auto, or about as many as this machine has cores",
        )
    shapes = " ".join(f"{shape:g}" for shape in spec.load.burstiness)
    if spec.load.burstiness != (1.0,) and not any(math.isfinite(rate) for rate in rates):
        yield Problem(
            f"--burstiness {shapes} shapes the gaps between arrivals, and there are none: "
            "no finite --request-rate is given",
            "give --request-rate R, or drop --burstiness",
        )


def _request(spec: RunSpec) -> Iterator[Problem]:
    sampling, lengths = spec.sampling, spec.workload.output_len or ()
    limit = sampling.max_tokens
    if limit is not None and any(length != limit for length in lengths):
        yield Problem(
            f"--output-len {' '.join(map(str, lengths))} and --max-tokens {limit} both set the length of an answer",
            "keep one of them",
        )
    shortest = min([*lengths, *([limit] if limit else [])], default=None)
    if sampling.min_tokens is not None and shortest is not None and sampling.min_tokens > shortest:
        yield Problem(
            f"--min-tokens {sampling.min_tokens} is above the longest answer asked for, {shortest}",
            "lower --min-tokens",
        )
    limits = [text for text in spec.measure.slo if re.search(r"ttft|ttfat|tpot|itl", text, re.IGNORECASE)]
    if limits and not sampling.stream:
        yield Problem(
            f"--slo {limits[0]!r} needs the times of single tokens, which --no-stream does not give",
            "drop --no-stream, or limit e2el",
        )
    for key in sorted(_OURS_IN_BODY.keys() & sampling.extra_body.keys()):
        yield Problem(
            f"--extra-body sets {key!r}, which the measurement depends on", f"use {_OURS_IN_BODY[key]}"
        )
    in_body = sampling.extra_body.get("ignore_eos")
    if sampling.ignore_eos is not None and in_body is not None and in_body is not sampling.ignore_eos:
        yield Problem("--extra-body and --ignore-eos disagree about ignore_eos", "keep one of them")
