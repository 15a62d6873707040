"""Circuits: gates on qubits, angles from weights and inputs."""
