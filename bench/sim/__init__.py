"""Holds the simulated engine against measurements of real ones; each module is one row or several of the table."""
