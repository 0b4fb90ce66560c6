"""The command line: one thin file per verb; it parses, calls the api room and prints."""
