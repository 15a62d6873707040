"""Simulators: from a circuit, angles and initial states to expectation values, differentiably."""
