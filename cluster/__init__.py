"""A node: what may be used of it, processes and ranks, draining, out-of-memory kills, energy meters."""
