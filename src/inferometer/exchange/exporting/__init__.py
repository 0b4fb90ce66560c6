"""Our runs as the files that other tools write, for those who read such files."""
