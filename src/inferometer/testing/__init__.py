"""Shipped test helpers: a fault-injecting server and conformance suites."""
