"""Holds what we measure on real engines against what the engines themselves say, and against ``vllm bench serve``."""
