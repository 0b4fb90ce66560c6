"""A server that is started for the measurement and stopped after it."""

from __future__ import annotations

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, Seconds, Texts


class Launch(Part):
    """Which server is started, and what it gets."""

    command: str | None = option(
        None,
        'start this server, measure it and stop it: "vllm serve MODEL ...", or "ENGINE MODEL ..." as of launch',
        flag="--launch",
        metavar="COMMAND",
    )
    ready_limit_s: Seconds = option(
        1800.0,
        "longest wait until the launched server has answered a request",
        flag="--launch-timeout",
        metavar="TIME",
        advanced=True,
    )
    unchecked: bool = option(
        False,
        "start the launched server although the files of its model say that it would fail",
        flag="--unchecked",
        advanced=True,
    )
    cores: str | None = option(
        None,
        "CPU cores of the launched server (0-3,8); the load generator keeps off them",
        flag="--launch-cores",
        metavar="LIST",
        advanced=True,
    )
    env: Texts = option(
        (),
        "environment variable of the launched server",
        flag="--launch-env",
        metavar="NAME=VALUE",
        advanced=True,
    )
