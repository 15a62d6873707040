"""`hadamard energy`: joules of an inference against qubits, of simulators measured here and of a QPU and GPUs as models."""
