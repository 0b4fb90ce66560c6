"""RunSpec and its parts: frozen, validated once, the same model for CLI, YAML, JSON Schema and Python."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from inferometer.spec.cluster import Cluster
from inferometer.spec.data import TRACES, Images, Prefix, Sessions, Trace, Workload
from inferometer.spec.endpoint import Endpoint
from inferometer.spec.fields import as_json_object, option
from inferometer.spec.kinds import (
    Burstinesses,
    Count,
    Ints,
    Part,
    Percents,
    PositiveInt,
    Rates,
    Seconds,
    SteadyWindow,
    Texts,
    Workers,
    finite,
)
from inferometer.spec.launch import Launch
from inferometer.spec.search import Search
from inferometer.spec.shape import Shape
from inferometer.spec.simulation import Simulation
from inferometer.spec.sweep import Sweep


class Load(Part):
    """How much load, for how long."""

    max_concurrency: Ints | None = option(None, "requests in flight, one load point per value", metavar="N")
    request_rate: Rates | None = option(
        None, "requests per second (inf = all at once), one load point per value", metavar="R"
    )
    burstiness: Burstinesses = option(
        (1.0,),
        "gamma shape of the gaps: 1 = Poisson, below 1 burstier, inf = constant; a list as above",
        metavar="X",
    )
    num_prompts: Ints | None = option(
        None,
        "requests, or sessions, per load point (default: 20 or 4 x concurrency, a minute of a rate, 1000 at once)",
        metavar="N",
    )
    duration_s: Seconds | None = option(
        None, "time limit per load point (90s, 5m)", flag="--duration", metavar="TIME"
    )
    pair: Literal["zip", "grid", "matrix"] = option(
        "zip", "lists pair up (zip), cross (grid), or loads cross with pairs of lengths (matrix)"
    )
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


class Sampling(Part):
    """What the server is asked to generate."""

    max_tokens: PositiveInt | None = option(
        None, "longest answer; it replaces the data set's own length", metavar="N"
    )
    min_tokens: Count | None = option(None, "shortest answer (vLLM and others)", metavar="N", advanced=True)
    temperature: Annotated[float, Field(ge=0), AfterValidator(finite)] | None = option(
        None, "sampling temperature; not sent when absent", metavar="X"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = option(
        None, "nucleus sampling", metavar="X", advanced=True
    )
    top_k: int | None = option(None, "top-k sampling (vLLM and others)", metavar="N", advanced=True)
    stop: Texts = option((), "stop strings", metavar="TEXT", advanced=True)
    ignore_eos: bool | None = option(None, "generate to the full length (default: on for random and traces)")
    stream: bool = option(True, "stream the answer; TTFT, TPOT and ITL need a stream")
    extra_body: Annotated[dict[str, Any], BeforeValidator(as_json_object)] = option(
        {}, "JSON object merged into each request body", metavar="JSON"
    )


class Measure(Part):
    """What is judged."""

    slo: Texts = option(
        (), 'limits: ttft:200 tpot:50 (ms, per request) or "p99_ttft<=200ms"', metavar="LIMIT"
    )
    percentiles: Percents = option(
        (50.0, 90.0, 99.0), "percentiles in summary and tables", metavar="P", advanced=True
    )
    steady_window: SteadyWindow = option(
        "auto",
        "part of a load point that counts as steady, shown beside the whole: found, none, or from its start (10s-60s)",
        metavar="auto|off|FROM-TO",
        advanced=True,
    )
    error_limit: Annotated[float, Field(ge=0, le=1)] = option(
        0.001, "largest share of failed requests in a VALID run", metavar="SHARE", advanced=True
    )


class Output(Part):
    """What is kept and shown."""

    out: str = option("runs", "directory of run folders", metavar="DIR")
    label: Texts = option((), "a word for the folder name, or key=value kept with the result", metavar="TEXT")
    keep_text: bool = option(False, "store prompts and answers in the run folder")
    table: (
        Literal["ours", "vllm", "evalscope", "lmdeploy", "aisbench", "mindie", "guide", "guide-zh", "speed"]
        | None
    ) = option(
        None,
        "after the run, print its load points in the columns of this community (all: inferometer report --help)",
        metavar="STYLE",
    )
    csv: str | None = option(
        None,
        "after the run, write that table to a new file, as CSV (default: our own columns)",
        metavar="FILE",
        advanced=True,
    )
    html: bool = option(
        True,
        "write report.html into the run folder: every picture and table, offline, in one file",
        advanced=True,
    )
    ui: Literal["rich", "plain", "none"] = option(
        "rich", "live progress; plain when stdout is no terminal", advanced=True
    )
    track: Texts = option(
        (),
        "log the finished run to mlflow, wandb, swanlab or otlp, as their environment variables say; repeatable",
        metavar="NAME",
        advanced=True,
    )
    prometheus_port: Annotated[int, Field(ge=0, le=65535)] | None = option(
        None,
        "serve the progress to Prometheus at http://127.0.0.1:N/metrics until the run has ended (0 = a free port)",
        metavar="N",
        advanced=True,
    )


class RunSpec(Part):
    """One run: an endpoint, a workload, one or more load points, and how it is judged."""

    endpoint: Endpoint = Field(default=Endpoint(), title="Target")
    launch: Launch = Field(default=Launch(), title="Launched server")
    simulation: Simulation = Field(default=Simulation(), title="Simulation")
    load: Load = Field(default=Load(), title="Load")
    cluster: Cluster = Field(default=Cluster(), title="Several machines")
    shape: Shape = Field(default=Shape(), title="Shape")
    sweep: Sweep = Field(default=Sweep(), title="Sweep")
    search: Search = Field(default=Search(), title="Search")
    workload: Workload = Field(default=Workload(), title="Data")
    prefix: Prefix = Field(default=Prefix(), title="Prefix")
    sessions: Sessions = Field(default=Sessions(), title="Sessions")
    trace: Trace = Field(default=Trace(), title="Trace")
    images: Images = Field(default=Images(), title="Images")
    sampling: Sampling = Field(default=Sampling(), title="Request")
    measure: Measure = Field(default=Measure(), title="Measure")
    output: Output = Field(default=Output(), title="Output")


def resolve_ignore_eos(spec: RunSpec) -> bool:
    """Whether answers run to their full length: as asked, else on for random data and traces, whose point lengths are.

    ``ignore_eos`` inside ``extra_body`` counts as asked.
    """
    if spec.sampling.ignore_eos is not None:
        return spec.sampling.ignore_eos
    asked = spec.sampling.extra_body.get("ignore_eos")
    return asked if isinstance(asked, bool) else spec.workload.dataset in ("random", *TRACES)
