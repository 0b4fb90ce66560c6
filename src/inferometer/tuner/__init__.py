"""TUNE: looks for the best load, or the largest that is still good enough; what measures is an argument."""
