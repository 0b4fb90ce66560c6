"""The simulated engine: a virtual scheduler behind an OpenAI-compatible server."""

from inferometer.simulator.faults import Fault
from inferometer.simulator.process import SimulatedServer, start_simulated_server
from inferometer.simulator.settings import SimSettings

__all__ = ["Fault", "SimSettings", "SimulatedServer", "start_simulated_server"]
