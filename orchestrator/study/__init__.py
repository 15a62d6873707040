"""The study file: its schema, its trials, and their keys."""
