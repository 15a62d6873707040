"""The study: its file, what is valid in it, its plan, and its trials with their keys."""
