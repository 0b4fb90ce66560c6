"""Reports as one HTML file that opens offline: a typed document, rendered to tables and pictures."""
