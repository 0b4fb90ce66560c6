"""Command lines of other tools: their names as data, and what a whole command line of theirs is here."""
