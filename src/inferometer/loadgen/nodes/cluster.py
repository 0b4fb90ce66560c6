"""The only module that knows Ray: it joins a cluster and puts a ``Shell`` on every node."""

from __future__ import annotations

import logging
import os
from typing import Any, Protocol

from inferometer.errors import InferometerError, UsageError
from inferometer.loadgen.nodes.shell import Shell

START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 30.0
# An actor looks this often whether its raylet is still there, and ends when it is not. Our own look comes much sooner;
# the time until then is for shipping what workers had finished.
_ACTOR_ENVIRONMENT = {"RAY_raylet_death_check_interval_milliseconds": "20000"}


class NodeLostError(InferometerError):
    """A node does not answer any more."""


class Node(Protocol):
    """A node of a cluster, with a ``Shell`` on it."""

    node_id: str
    address: str

    def look(self) -> dict[str, Any]:
        """``Shell.look``."""
        ...

    def open(self) -> dict[str, Any]:
        """``Shell.open``."""
        ...

    def call(self, name: str, *arguments: Any) -> Any:
        """A method of the agent on it.

        Raises:
            NodeLostError: it does not answer.
        """
        ...


class Cluster(Protocol):
    """A cluster that was joined."""

    nodes: list[Node]
    versions: dict[str, str]

    def close(self) -> None:
        """Leave it, with nothing of ours left in it."""
        ...


class RayNode:
    """A node of a Ray cluster."""

    def __init__(self, ray: Any, actor: Any, seen: dict[str, Any]) -> None:
        self._ray = ray
        self.actor = actor
        self.node_id = str(seen["NodeID"])
        self.address = str(seen["NodeManagerAddress"])

    def look(self) -> dict[str, Any]:
        """``Shell.look``; waits for the actor to start."""
        return dict(self._get(self.actor.look.remote(), START_LIMIT_S))

    def open(self) -> dict[str, Any]:
        """``Shell.open``."""
        return dict(self._get(self.actor.open.remote(), START_LIMIT_S))

    def call(self, name: str, *arguments: Any) -> Any:
        """A method of the agent on it."""
        return self._get(self.actor.call.remote(name, *arguments), ANSWER_LIMIT_S)

    def _get(self, answer: Any, limit_s: float) -> Any:
        try:
            return self._ray.get(answer, timeout=limit_s)
        except self._ray.exceptions.GetTimeoutError:
            raise NodeLostError(f"it gave no answer for {limit_s:g} s") from None
        except self._ray.exceptions.RayTaskError as error:
            raise NodeLostError(f"its agent failed: {str(error.cause)[:300]}") from None
        except self._ray.exceptions.RayError as error:
            raise NodeLostError(_reason(error)) from None


class RayCluster:
    """A Ray cluster that was joined, with an actor on each of its nodes.

    Args:
        address: as ``ray.init`` takes it.

    Raises:
        UsageError: Ray is not installed here.
        Exception: whatever Ray raises when it cannot join, see ``troubles.explain``.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError(
                "--nodes needs Ray, which is not installed", "pip install 'inferometer[ray]'"
            ) from None
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        import inferometer.loadgen.nodes.shell as by_value

        self._ray: Any = ray
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        self._ray.cloudpickle.register_pickle_by_value(by_value)
        actor = ray.remote(Shell)
        self.versions = {"ray": str(ray.__version__)}
        self.nodes: list[Node] = []
        for seen in sorted(
            self._ray.nodes(), key=lambda each: (str(each["NodeManagerAddress"]), str(each["NodeID"]))
        ):
            if not seen["Alive"]:
                continue
            here = actor.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(seen["NodeID"], soft=False),
                num_cpus=0,  # an engine may have all of them, and the load does not wait for a share
                max_restarts=0,
                max_concurrency=8,
                runtime_env={"env_vars": _ACTOR_ENVIRONMENT},
            ).remote()
            self.nodes.append(RayNode(ray, here, seen))

    def close(self) -> None:
        """Leave the cluster; its actors go with their only handle."""
        for node in self.nodes:
            assert isinstance(node, RayNode)
            self._ray.kill(node.actor)
        self._ray.shutdown()


def _reason(error: Exception) -> str:
    """The line of Ray's text that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "because" in line or "Error" in line]
    return (telling or lines or [type(error).__name__])[0][:300]
