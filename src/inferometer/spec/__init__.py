"""What a run is asked to do: one frozen pydantic model for flags, YAML, JSON Schema and Python."""

from inferometer.spec.data import Images, Prefix, Sessions, Trace, Workload
from inferometer.spec.endpoint import Endpoint
from inferometer.spec.files import file_layer, load_file
from inferometer.spec.launch import Launch
from inferometer.spec.layers import Layer, Merged, build, environment_layer, merge, public_dict
from inferometer.spec.model import Load, Measure, Output, RunSpec, Sampling, resolve_ignore_eos
from inferometer.spec.points import (
    LoadPoint,
    derive_seed,
    load_points,
    load_title,
    warmup_point,
    with_warmups,
)
from inferometer.spec.rules import check_spec
from inferometer.spec.search import Search
from inferometer.spec.shape import Shape
from inferometer.spec.sweep import Sweep

__all__ = [
    "Endpoint",
    "Images",
    "Launch",
    "Layer",
    "Load",
    "LoadPoint",
    "Measure",
    "Merged",
    "Output",
    "Prefix",
    "RunSpec",
    "Sampling",
    "Search",
    "Sessions",
    "Shape",
    "Sweep",
    "Trace",
    "Workload",
    "build",
    "check_spec",
    "derive_seed",
    "environment_layer",
    "file_layer",
    "load_file",
    "load_points",
    "load_title",
    "merge",
    "public_dict",
    "resolve_ignore_eos",
    "warmup_point",
    "with_warmups",
]
