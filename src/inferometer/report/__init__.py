"""How it is shown: typed tables first, then console, JSON and other tools' layouts."""
