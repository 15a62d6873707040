"""Labelled texts: corpora and their formats, and seeded splits into training, validation and test set."""
