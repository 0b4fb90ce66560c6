"""One module an engine: how its command line is written, when it is ready, what it says of itself."""
