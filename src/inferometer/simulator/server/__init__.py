"""The simulated engine behind HTTP, on the wall clock: the server that clients talk to."""
