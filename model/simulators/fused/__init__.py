"""Gates of up to a few qubits fused into matrix products, on a CPU or GPU."""
