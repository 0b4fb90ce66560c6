"""How the batch of a step is chosen, one strategy a module."""
