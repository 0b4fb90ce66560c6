"""Whether two runs differ: what may be compared, by how much they differ, and how sure that is."""
