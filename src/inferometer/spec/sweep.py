"""How the load points of a run follow one another."""

from __future__ import annotations

from typing import Literal

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt, Seconds


class Sweep(Part):
    """Repeats, order and pauses of load points."""

    epochs: PositiveInt | None = option(
        None,
        "requests per load point: N times its concurrency, in place of --num-prompts",
        metavar="N",
    )
    repeat: PositiveInt = option(
        1,
        "times each load point is measured, in rounds (A B A B); 3 or more give useful intervals",
        metavar="N",
    )
    order: Literal["given", "reversed", "shuffled"] = option(
        "given",
        "order in which load points are measured; shuffled: each round anew, by --seed",
        advanced=True,
    )
    pause_s: Seconds | None = option(
        None, "rest between measured load points (10s, 1m)", flag="--pause", metavar="TIME"
    )
    warmup_each: bool = option(
        False, "warm up before each load point, not only before the first", advanced=True
    )
    same_prompts: bool = option(
        False,
        "send the same prompts, lengths and arrivals in each load point and round; a prefix cache answers for them",
        advanced=True,
    )
    nodes_served: PositiveInt | None = option(
        None, "number of nodes that serve, for throughput per node", metavar="N", advanced=True
    )
    devices_served: PositiveInt | None = option(
        None, "number of accelerators that serve, for throughput per device", metavar="N", advanced=True
    )
    estimate_from: str | None = option(
        None,
        "run folder that time estimates are based on (default: the newest of the same server and model in --out)",
        metavar="RUN",
        advanced=True,
    )
