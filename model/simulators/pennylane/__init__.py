"""PennyLane devices as simulators."""
