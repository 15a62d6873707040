"""`hadamard compare`: two studies side by side, and how they differ.

Owns what is matched with what, and the differences. Does not own either study's own analysis.
"""
