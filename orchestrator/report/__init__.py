"""The report of a study: one HTML page, its figures, and the tables as files."""
