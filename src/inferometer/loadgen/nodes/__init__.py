"""Load from several machines: the same worker processes, on every node of a cluster, spoken to through it."""
