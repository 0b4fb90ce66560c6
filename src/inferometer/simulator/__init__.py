"""The simulated engine: a virtual scheduler behind an OpenAI-compatible server."""

from inferometer.simulator.server.faults import Fault
from inferometer.simulator.server.process import SimulatedServer, start_simulated_server
from inferometer.simulator.server.settings import SimSettings

__all__ = ["Fault", "SimSettings", "SimulatedServer", "start_simulated_server"]
