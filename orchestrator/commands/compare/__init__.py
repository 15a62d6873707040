"""`hadamard compare`: two studies side by side."""
