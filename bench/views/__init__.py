"""Holds the views of other tools' definitions against what those tools themselves report."""
