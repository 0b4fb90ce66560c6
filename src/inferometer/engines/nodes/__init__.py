"""Engines over several nodes: a plan as the files that start it, carried out on this host, its ranks woken."""
