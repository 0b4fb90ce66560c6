"""A run in progress as Prometheus sees it: families of metrics, their text, and a page that serves it."""
