"""Whole circuits in one GPU kernel, by Triton."""
