"""WHAT to send: data sets and token counting, as iterators of requests."""
