"""cuStateVec's kernels as a simulator, on an NVIDIA GPU."""
