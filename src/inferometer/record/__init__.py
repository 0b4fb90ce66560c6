"""What happened, raw: the run folder, its crash-safe journal, its tables and its reader."""
