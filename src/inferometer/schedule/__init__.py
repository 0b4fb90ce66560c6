"""WHEN to send: planned offsets of an open loop, or the permits of a closed loop."""
