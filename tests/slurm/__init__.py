"""Tests on a real Slurm cluster of this machine's own (lab.py): `make test-slurm`."""
