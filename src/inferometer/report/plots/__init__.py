"""Pictures as typed data: pure functions make them of a run, and thin layers draw them (page, matplotlib, terminal)."""
