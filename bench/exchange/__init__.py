"""Real result files of other tools, made anew for the tests of import and export."""
