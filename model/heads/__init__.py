"""Heads: classifiers on sentence embeddings, quantum and classical."""
