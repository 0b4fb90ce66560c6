"""One serving instance, stepped in virtual time: sequences, KV blocks, schedulers, and their fast-forward."""
