"""Trains one pack of trials: text, embeddings, heads, circuits and their simulators.

Owns everything a result depends on. Knows nothing of designs, Ray, Slurm or MLflow.
"""
