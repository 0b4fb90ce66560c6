"""Inferometer: the instrument that measures, explains, predicts and tunes LLM inference."""

__version__ = "0.1.0"
