"""RunSpec and its parts: frozen, validated once, the same model for CLI, YAML, JSON Schema and Python."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from inferometer.spec.fields import (
    as_api_key,
    as_header,
    as_json_object,
    as_list,
    as_rate,
    as_seconds,
    as_texts,
    as_workers,
    option,
)
from inferometer.spec.url import dialect_of_path, split_url

_TEXT: dict[str, Any] = {"type": "string"}


def _several(item: dict[str, Any]) -> WithJsonSchema:
    """JSON Schema of a field that takes one value, a text of several, or a list of both."""
    one = [item] if item == _TEXT else [item, _TEXT]
    return WithJsonSchema({"anyOf": [*one, {"type": "array", "items": {"anyOf": one}}]})


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("it has to be a finite number")
    return value


PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[
    float,
    AfterValidator(_finite),
    BeforeValidator(as_seconds),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}),
]
Rate = Annotated[float, BeforeValidator(as_rate)]
Burstiness = Annotated[
    float,
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "inf"}]}),
]
Percent = Annotated[float, Field(gt=0, lt=100)]
Ints = Annotated[
    tuple[PositiveInt, ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several({"type": "integer", "minimum": 1}),
]
Rates = Annotated[
    tuple[Rate, ...], Field(min_length=1), BeforeValidator(as_list), _several({"type": "number"})
]
Percents = Annotated[
    tuple[Percent, ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    _several({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}),
]
ApiKey = Annotated[SecretStr, BeforeValidator(as_api_key)]
Header = Annotated[str, BeforeValidator(as_header)]
Workers = Annotated[
    int | Literal["auto"],
    BeforeValidator(as_workers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
]
Headers = Annotated[tuple[Header, ...], BeforeValidator(as_texts), _several(_TEXT)]
Texts = Annotated[tuple[str, ...], BeforeValidator(as_texts), _several(_TEXT)]


class Part(BaseModel):
    """Base of all parts: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Endpoint(Part):
    """What is put under load.

    A pasted URL is taken apart: after validation ``url`` is the base that the dialect's path is appended to
    (no trailing slash, no ``/v1``), ``endpoint`` is set only when the path is unusual, and ``backend`` follows
    the path when nothing else was asked for.
    """

    url: str = option(
        "", "address of the server, with or without a path such as /v1/chat/completions", metavar="URL"
    )
    backend: str = option(
        "openai-chat",
        "API dialect: openai-chat or openai-completions; a path in --url decides",
        metavar="NAME",
    )
    endpoint: str | None = option(
        None, "path of the API when it is not the dialect's usual one", metavar="PATH"
    )
    model: str | None = option(None, "model name; found from /v1/models when absent", metavar="NAME")
    served_model_name: str | None = option(
        None, "name sent on the wire when it differs from --model", metavar="NAME", advanced=True
    )
    api_key: ApiKey | None = option(None, "bearer token; else environment OPENAI_API_KEY", metavar="KEY")
    header: Headers = option((), "extra request headers, 'Name: value'", metavar="HEADER")
    ca_file: str | None = option(
        None, "PEM file of the authority that signed the server's certificate", metavar="FILE"
    )
    insecure: bool = option(False, "do not verify the server's certificate")
    connect_timeout_s: Seconds = option(
        10.0, "longest time to connect", flag="--connect-timeout", metavar="TIME", advanced=True
    )
    read_timeout_s: Seconds = option(
        600.0,
        "longest silence of the server during a request",
        flag="--read-timeout",
        metavar="TIME",
        advanced=True,
    )
    total_timeout_s: Seconds = option(
        21600.0, "longest time for a whole request", flag="--timeout", metavar="TIME"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("url"), str):
            return data
        found = split_url(data["url"])
        data = {**data, "url": found.base}
        if found.endpoint and data.get("endpoint") is None:
            data["endpoint"] = found.endpoint
        path = data.get("endpoint")
        backend = found.backend or (dialect_of_path(path) if isinstance(path, str) else None)
        if backend is None:
            return data
        asked = data.setdefault("backend", backend)
        if asked in ("openai-chat", "openai-completions") and asked != backend:
            raise ValueError(
                f"--backend {asked} does not speak the path in --url or --endpoint, which is {backend}"
            )
        return data


class Load(Part):
    """How much load, for how long."""

    max_concurrency: Ints | None = option(None, "requests in flight, one load point per value", metavar="N")
    request_rate: Rates | None = option(
        None, "requests per second (inf = all at once), one load point per value", metavar="R"
    )
    burstiness: Burstiness = option(
        1.0, "gamma shape of the gaps: 1 = Poisson, below 1 burstier, inf = constant", metavar="X"
    )
    num_prompts: Ints | None = option(
        None,
        "requests per load point (default: 20 or 4 x concurrency, a minute of a rate, 1000 at once)",
        metavar="N",
    )
    duration_s: Seconds | None = option(
        None, "time limit per load point (90s, 5m)", flag="--duration", metavar="TIME"
    )
    pair: Literal["zip", "grid"] = option("zip", "lists pair up (zip) or cross (grid)")
    workers: Workers = option(
        "auto", "processes that share the load (auto = as many as it needs and cores allow)", metavar="N|auto"
    )
    warmup: Count = option(
        4, "requests of the warm-up load point, which is not counted; 0 = none", metavar="N"
    )
    grace_s: Seconds = option(
        30.0,
        "after Ctrl-C or the time limit: longest wait for requests in flight",
        flag="--grace",
        metavar="TIME",
        advanced=True,
    )
    seed: Count = option(0, "seed of order, lengths, text and arrivals", metavar="N")


class Workload(Part):
    """What is sent."""

    dataset: str = option("random", "random, sharegpt or openqa", metavar="NAME")
    dataset_path: str | None = option(None, "file of the data set", metavar="FILE")
    input_len: Ints = option((512,), "tokens per prompt (random), one load point per value", metavar="N")
    output_len: Ints | None = option(
        None,
        "tokens per answer, one load point per value "
        "(default: --max-tokens or 128 for random, the data set's own otherwise)",
        metavar="N",
    )
    tokenizer: str = option(
        "builtin", "tokenizer.json or directory that holds one; builtin = estimate", metavar="PATH"
    )
    oversample: bool = option(False, "use rows again when the file has fewer than --num-prompts")
    min_prompt_length: Count = option(
        0, "openqa: drop shorter prompts (tokens; characters with builtin)", metavar="N", advanced=True
    )
    max_prompt_length: Count = option(
        0, "openqa: drop longer prompts, 0 = no limit", metavar="N", advanced=True
    )
    sharegpt_min_input: Count = option(4, "sharegpt: drop prompts below, 0 = off", metavar="N", advanced=True)
    sharegpt_min_output: Count = option(
        4, "sharegpt: drop answers below, 0 = off", metavar="N", advanced=True
    )
    sharegpt_max_input: Count = option(
        1024, "sharegpt: drop prompts above, 0 = off", metavar="N", advanced=True
    )
    sharegpt_max_total: Count = option(
        2048, "sharegpt: drop prompt + answer above, 0 = off", metavar="N", advanced=True
    )


class Sampling(Part):
    """What the server is asked to generate."""

    max_tokens: PositiveInt | None = option(
        None, "longest answer; it replaces the data set's own length", metavar="N"
    )
    min_tokens: Count | None = option(None, "shortest answer (vLLM and others)", metavar="N", advanced=True)
    temperature: Annotated[float, Field(ge=0), AfterValidator(_finite)] | None = option(
        None, "sampling temperature; not sent when absent", metavar="X"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = option(None, "nucleus sampling", metavar="X")
    top_k: int | None = option(None, "top-k sampling (vLLM and others)", metavar="N", advanced=True)
    stop: Texts = option((), "stop strings", metavar="TEXT", advanced=True)
    ignore_eos: bool | None = option(None, "generate to the full length (default: on for random, else off)")
    stream: bool = option(True, "stream the answer; TTFT, TPOT and ITL need a stream")
    extra_body: Annotated[dict[str, Any], BeforeValidator(as_json_object)] = option(
        {}, "JSON object merged into each request body", metavar="JSON"
    )


class Measure(Part):
    """What is judged."""

    slo: Texts = option(
        (), 'limits: ttft:200 tpot:50 (ms, per request) or "p99_ttft<=200ms"', metavar="LIMIT"
    )
    percentiles: Percents = option((50.0, 90.0, 99.0), "percentiles in summary and tables", metavar="P")
    error_limit: Annotated[float, Field(ge=0, le=1)] = option(
        0.001, "largest share of failed requests in a VALID run", metavar="SHARE", advanced=True
    )


class Output(Part):
    """What is kept and shown."""

    out: str = option("runs", "directory of run folders", metavar="DIR")
    label: Texts = option((), "a word for the folder name, or key=value kept with the result", metavar="TEXT")
    keep_text: bool = option(False, "store prompts and answers in the run folder")
    ui: Literal["rich", "plain", "none"] = option("rich", "live progress; plain when stdout is no terminal")


class RunSpec(Part):
    """One run: an endpoint, a workload, one or more load points, and how it is judged."""

    endpoint: Endpoint = Field(default=Endpoint(), title="Target")
    load: Load = Field(default=Load(), title="Load")
    workload: Workload = Field(default=Workload(), title="Data")
    sampling: Sampling = Field(default=Sampling(), title="Request")
    measure: Measure = Field(default=Measure(), title="Measure")
    output: Output = Field(default=Output(), title="Output")


def resolve_ignore_eos(spec: RunSpec) -> bool:
    """Whether answers run to their full length: as asked, else on for random data, whose lengths are the point.

    ``ignore_eos`` inside ``extra_body`` counts as asked.
    """
    if spec.sampling.ignore_eos is not None:
        return spec.sampling.ignore_eos
    asked = spec.sampling.extra_body.get("ignore_eos")
    return asked if isinstance(asked, bool) else spec.workload.dataset == "random"
