"""A simulator with shots and noise: what compares simulators then compares those too."""

from __future__ import annotations

import numpy as np
import torch

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.heads.quantum.noise import noisy_expectations
from hadamard.model.heads.quantum.settings import Noise
from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.training.random_streams import noise_rng


def noise_rngs(trials: int, first_seed: int = 0) -> list[np.random.Generator]:
    """Return one random generator per trial, as a trainer does."""
    return [noise_rng(first_seed + trial, epoch=1) for trial in range(trials)]


class NoisySimulator:
    """Samples with the same seeds in every call."""

    def __init__(self, noise: Noise, simulator: Simulator | None = None, first_seed: int = 0) -> None:
        self.noise, self.simulator, self.first_seed = noise, simulator or open_simulator("torch"), first_seed
        self.device = self.simulator.device

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert inputs is not None
        assert states is None
        rngs = noise_rngs(len(weights), self.first_seed)
        return noisy_expectations(self.simulator, circuit, weights, inputs, self.noise, rngs)
