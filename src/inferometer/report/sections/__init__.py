"""Parts of the report page: each module turns what a run says into blocks of ``report.page.model``."""
