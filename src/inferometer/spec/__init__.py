"""What a run is asked to do: one frozen pydantic model for flags, YAML, JSON Schema and Python."""

from inferometer.spec.model import Endpoint, Load, Measure, Output, RunSpec, Sampling, Workload
from inferometer.spec.points import LoadPoint, load_points

__all__ = ["Endpoint", "Load", "LoadPoint", "Measure", "Output", "RunSpec", "Sampling", "Workload", "load_points"]
