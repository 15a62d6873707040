"""Training: trials of one shape together, their optimiser, evaluation and records."""
