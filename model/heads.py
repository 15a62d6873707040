"""Heads trained by gradient, those of all trials of a team at once: the paper's quantum head and the multi-layer perceptron.

Owns the way from embeddings to logits and the initial parameters. Does not own the training loop or the circuits' gates.

A trial's parameters are one row of a matrix [trials, parameters], so that optimiser, checkpoints and the choice of trials need not know
what they mean. No operation here mixes trials: whether a trial's numbers are the same alone to the bit is up to the simulator alone.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import torch

from model.head_layout import CLASSES, circuits
from model.noise import noisy_expectations
from model.reduction import AmplitudeEncoding
from model.settings import MlpHead, QuantumHead
from model.simulators import Simulator

Draws = Sequence[np.random.Generator]
"""One generator per trial, from which heads with noise or finite shots draw."""


class Head(Protocol):
    """The heads of a team's trials, alike in every shape."""

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw initial parameters [trials, parameters], each trial's by a generator of its own: the same in any company and precision."""
        ...

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2] of embeddings [trials, rows, dimension] by parameters [trials, parameters]; see `Draws`."""
        ...

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials, in the order given."""
        ...


class QuantumClassifier:
    """The paper's head (paper.md, "Quantum head"): encoders, merge, re-uploading module, linear layer."""

    def __init__(self, settings: Sequence[QuantumHead], train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> None:
        """Make the heads of a team.

        Args:
            settings: Of each trial; they differ in angle_scale and initial_angles alone.
            train_embeddings: [sentences, dimension] of each trial, for a PCA; their precision and device are the head's.
            simulator: What computes the expectations.
        """
        shape = settings[0]
        self.simulator = simulator
        self.encoders, self.merge, self.noise = shape.encoders, shape.merge, shape.noise
        self.encoding = AmplitudeEncoding(shape, train_embeddings)
        self.encoder, self.second_module = circuits(shape)
        self.initial_angles = [one.initial_angles for one in settings]
        scales = [[[math.pi if one.angle_scale == "pi" else one.angle_scale]] for one in settings]
        self.angle_scales = train_embeddings[0].new_tensor(scales)
        weights = (self.encoders * self.encoder.weights, self.second_module.weights, CLASSES * shape.measured, CLASSES)
        self.sizes = [math.prod(self.encoding.projection), *weights] if self.encoding.projection else list(weights)

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw angles uniform in +-initial_angles, the linear layer uniform in +-1/sqrt(measured), and the projection, if any, normal."""
        *projection, encoder, second, linear, bias = self.sizes
        bound = 1 / math.sqrt(linear / CLASSES)
        rows = []
        for angles, generator in zip(self.initial_angles, generators, strict=True):
            drawn = [_normal(size, generator) / self.encoding.dimension**0.5 for size in projection]
            drawn += [_uniform(encoder, angles, generator), _uniform(second, angles, generator)]
            drawn += [_uniform(linear, bound, generator), _uniform(bias, bound, generator)]
            rows.append(torch.cat(drawn))
        return torch.stack(rows).to(self.angle_scales)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2], by two calls of the simulator: to it, the encoders of a trial are trials of their own."""
        trials, rows, _ = embeddings.shape
        *projection, encoder, second, linear, bias = torch.split(parameters, self.sizes, dim=1)
        states = self.encoding.states(embeddings, *projection)
        states = states[:, None].expand(-1, self.encoders, -1, -1).reshape(trials * self.encoders, rows, -1)
        outputs = self.simulator.expectations(self.encoder, encoder.reshape(trials * self.encoders, -1), states=states)
        inputs = self._merge(outputs.view(trials, self.encoders, rows, -1))
        measured = noisy_expectations(self.simulator, self.second_module, second, inputs, self.noise, draws)
        return torch.baddbmm(bias[:, None], measured, linear.view(trials, CLASSES, -1).mT)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        some = copy.copy(self)
        some.encoding = self.encoding.only(trials)
        some.initial_angles = [self.initial_angles[trial] for trial in trials]
        some.angle_scales = self.angle_scales[list(trials)]
        return some

    def _merge(self, outputs: torch.Tensor) -> torch.Tensor:
        """Turn the encoders' outputs [trials, encoders, rows, Q] into the second module's inputs, [trials, rows, inputs]."""
        if self.encoders == 1:
            return outputs[:, 0] * self.angle_scales
        if self.merge == "mean":
            return outputs.mean(dim=1) * self.angle_scales
        return outputs.transpose(1, 2).flatten(2) * self.angle_scales


class MultiLayerPerceptron:
    """One hidden ReLU layer, or none: the paper's classical head with 1,538 (hidden 0) to 148,034 (192) parameters at 768 dimensions."""

    def __init__(self, settings: MlpHead, train_embeddings: torch.Tensor) -> None:
        """Make the heads of a team for embeddings like these, [sentences, dimension]: their precision and device are the head's."""
        self.like = train_embeddings
        sizes = [train_embeddings.shape[1], *([settings.hidden] if settings.hidden else []), CLASSES]
        self.layers = list(itertools.pairwise(sizes))
        self.sizes = [size for inputs, outputs in self.layers for size in (inputs * outputs, outputs)]

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw weights and biases of a layer uniform in +-1/sqrt(its inputs)."""
        bounds = [1 / math.sqrt(inputs) for inputs, _ in self.layers for _ in range(2)]
        rows = [
            torch.cat([_uniform(size, bound, generator) for size, bound in zip(self.sizes, bounds, strict=True)])
            for generator in generators
        ]
        return torch.stack(rows).to(self.like)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2]."""
        parts = torch.split(parameters, self.sizes, dim=1)
        values = embeddings
        for layer, (inputs, outputs) in enumerate(self.layers):
            weight, bias = parts[2 * layer].view(-1, outputs, inputs), parts[2 * layer + 1]
            values = torch.baddbmm(bias[:, None], torch.relu(values) if layer else values, weight.mT)
        return values

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials, which are no different."""
        return self


def _uniform(size: int, bound: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(size, generator=generator, dtype=torch.float32) * 2 - 1) * bound


def _normal(size: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(size, generator=generator, dtype=torch.float32)
