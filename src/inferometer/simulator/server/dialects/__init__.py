"""The server's side of every API that is spoken: a small file for each, and the table of their paths."""
