"""The paper's head: from embeddings to logits, for all trials of one shape at once."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch

from hadamard.model.heads.base import CLASSES, Rngs
from hadamard.model.heads.initialisation import uniform
from hadamard.model.heads.quantum.encoders import build_encoders
from hadamard.model.heads.quantum.noise import noisy_expectations
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.simulators.base import Simulator


class QuantumClassifier:
    """The paper's head (paper.md, "Quantum head"): encoders, merge, re-uploading module, linear layer; ablations leave parts out."""

    def __init__(self, settings: Sequence[QuantumHead], train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> None:
        """Make the heads of several trials; see `GradientHead.build`."""
        self.shape = settings[0]
        self.simulator = simulator
        self.encoders = build_encoders(self.shape, train_embeddings, simulator)
        self.second_module = encoder_and_second_module(self.shape)[1]
        self.initial_angles = [head.initial_angles for head in settings]
        scales = [[[math.pi if head.angle_scale == "pi" else head.angle_scale]] for head in settings]
        self.angle_scales = train_embeddings[0].new_tensor(scales)
        self.linear_inputs = self.shape.linear_inputs
        self.sizes = [*self.encoders.sizes, self.second_module.weights, CLASSES * self.linear_inputs, CLASSES]

    def initial_parameters(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw the encoders' parameters, angles uniformly in +-initial_angles, the linear layer uniformly in +-1/sqrt(its inputs)."""
        bound = 1 / math.sqrt(self.linear_inputs)
        rows = []
        for trial, (angles, generator) in enumerate(zip(self.initial_angles, generators, strict=True)):
            parts = [*self.encoders.initial_parameters(trial, angles, generator), uniform(self.second_module.weights, angles, generator)]
            parts += [uniform(size, bound, generator) for size in self.sizes[-2:]]
            rows.append(torch.cat(parts))
        return torch.stack(rows).to(self.angle_scales)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
        """Return logits [trials, rows, 2]; the simulator is called once per circuit."""
        *encoder, second, linear, bias = torch.split(parameters, self.sizes, dim=1)
        measured = self._merge(self.encoders.outputs(encoder, embeddings))
        if self.second_module.gates:
            inputs = measured * self.angle_scales
            measured = noisy_expectations(self.simulator, self.second_module, second, inputs, self.shape.noise, rngs)
        # not a matrix product: where one number is read, its last bit depends on some processors on how many trials there are
        return (measured[:, :, None] * linear.view(len(parameters), 1, CLASSES, -1)).sum(dim=3) + bias[:, None]

    def select(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        selected = copy.copy(self)
        selected.encoders = self.encoders.select(trials)
        selected.initial_angles = [self.initial_angles[trial] for trial in trials]
        selected.angle_scales = self.angle_scales[list(trials)]
        return selected

    def _merge(self, outputs: torch.Tensor) -> torch.Tensor:
        """Merge the encoders' outputs [trials, encoders, rows, Q] into one vector per row, [trials, rows, Q or E x Q]."""
        if self.shape.encoders == 1:
            return outputs[:, 0]
        if self.shape.merge == "mean":
            return outputs.mean(dim=1)
        return outputs.transpose(1, 2).flatten(2)
