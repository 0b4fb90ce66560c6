"""What can be known before a run: limits of the machine, what its generator can carry, whether a plan fits."""
