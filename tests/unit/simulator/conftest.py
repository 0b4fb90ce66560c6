"""A server in virtual time for each test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sim_world import World

from inferometer.simulator import SimSettings


@pytest.fixture
def world() -> Callable[..., World]:
    return lambda **settings: World(SimSettings(**settings))
