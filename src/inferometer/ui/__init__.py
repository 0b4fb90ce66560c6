"""Local pages over the store of runs: list, one run, comparisons, runs in progress, a new run from a form."""
