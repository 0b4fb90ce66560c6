"""Pictures as files: matplotlib draws the plots of ``report.plots.model`` to PNG and SVG, and computes nothing."""
