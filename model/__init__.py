"""Trains one pack of trials: text, embeddings, heads, circuits and their simulators.

Everything a result depends on, and nothing of designs, Ray, Slurm or MLflow.
"""
