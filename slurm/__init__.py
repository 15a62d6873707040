"""Running a study on a Slurm cluster: the batch script users read and edit.

Owns what is said to Slurm. Knows nothing of designs or trials.
"""
