"""The report of a study: one HTML page, its pictures, and the tables as files.

Owns words, tables, pictures and layout. Does not own the statistics.
"""
