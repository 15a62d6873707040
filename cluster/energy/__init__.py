"""Energy meters of a node, the record of their readings, and its division among those who hold the node's devices."""
