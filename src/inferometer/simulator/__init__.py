"""The simulated engine: a virtual scheduler behind an OpenAI-compatible server."""
