"""Labelled texts: corpora, their formats, and seeded draws of train, validation and test sides."""
