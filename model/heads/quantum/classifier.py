"""The paper's head: from embeddings to logits, for all trials of one shape at once."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch

from hadamard.model.heads.base import CLASSES, Draws
from hadamard.model.heads.initialisation import uniform
from hadamard.model.heads.quantum.encoders import encoders
from hadamard.model.heads.quantum.noise import noisy_expectations
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.simulators.base import Simulator


class QuantumClassifier:
    """The paper's head (paper.md, "Quantum head"): encoders, merge, re-uploading module, linear layer; or what ablations leave of it."""

    def __init__(self, settings: Sequence[QuantumHead], train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> None:
        """Make the heads of a team.

        Args:
            settings: Of each trial; they differ in angle_scale and initial_angles alone.
            train_embeddings: [sentences, dimension] of each trial, for what is fitted to them; their precision and device are the head's.
            simulator: What computes the expectations.
        """
        self.shape = settings[0]
        self.simulator = simulator
        self.encoders = encoders(self.shape, train_embeddings, simulator)
        self.second_module = encoder_and_second_module(self.shape)[1]
        self.initial_angles = [one.initial_angles for one in settings]
        scales = [[[math.pi if one.angle_scale == "pi" else one.angle_scale]] for one in settings]
        self.angle_scales = train_embeddings[0].new_tensor(scales)
        self.read = self.shape.read_by_linear
        self.sizes = [*self.encoders.sizes, self.second_module.weights, CLASSES * self.read, CLASSES]

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw what the encoders start with, angles uniform in +-initial_angles, the linear layer uniform in +-1/sqrt(what it reads)."""
        bound = 1 / math.sqrt(self.read)
        rows = []
        for trial, (angles, generator) in enumerate(zip(self.initial_angles, generators, strict=True)):
            drawn = [*self.encoders.start(trial, angles, generator), uniform(self.second_module.weights, angles, generator)]
            drawn += [uniform(size, bound, generator) for size in self.sizes[-2:]]
            rows.append(torch.cat(drawn))
        return torch.stack(rows).to(self.angle_scales)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2], by one call of the simulator for each of the circuits."""
        *encoder, second, linear, bias = torch.split(parameters, self.sizes, dim=1)
        measured = self._merge(self.encoders.outputs(encoder, embeddings))
        if self.second_module.gates:
            inputs = measured * self.angle_scales
            measured = noisy_expectations(self.simulator, self.second_module, second, inputs, self.shape.noise, draws)
        # not a matrix product: where one number is read, its last bit depends on some processors on how many trials there are
        return (measured[:, :, None] * linear.view(len(parameters), 1, CLASSES, -1)).sum(dim=3) + bias[:, None]

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        some = copy.copy(self)
        some.encoders = self.encoders.only(trials)
        some.initial_angles = [self.initial_angles[trial] for trial in trials]
        some.angle_scales = self.angle_scales[list(trials)]
        return some

    def _merge(self, outputs: torch.Tensor) -> torch.Tensor:
        """Turn the encoders' outputs [trials, encoders, rows, Q] into one vector a row, [trials, rows, Q or E x Q]."""
        if self.shape.encoders == 1:
            return outputs[:, 0]
        if self.shape.merge == "mean":
            return outputs.mean(dim=1)
        return outputs.transpose(1, 2).flatten(2)
