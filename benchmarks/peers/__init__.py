"""Our simulators against their peers on the paper's head, and a study against the ordinary way: `python -m benchmarks.peers`."""
