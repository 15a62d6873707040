"""The compiled simulator: C++ kernels for real circuits on a CPU."""
