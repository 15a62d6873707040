"""Heads trained by gradient: the paper's quantum head and the multi-layer perceptron.

Owns the modules from embedding to logits and their initial parameters. Does not own the training loop or the circuits' gates.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from model.head_layout import CLASSES, circuits
from model.reduction import AmplitudeEncoding
from model.settings import MlpHead, QuantumHead
from model.simulators import Simulator


class QuantumClassifier(nn.Module):
    """The paper's head (paper.md, "Quantum head"): encoders, merge, re-uploading module, linear layer."""

    def __init__(self, settings: QuantumHead, train_embeddings: torch.Tensor, simulator: Simulator, generator: torch.Generator) -> None:
        """Draw initial parameters.

        Args:
            settings: The head's settings.
            train_embeddings: [sentences, dimension], the training side of the split: a PCA is fitted on it and on nothing else.
            simulator: What computes the expectations.
            generator: Draws the initial angles, uniform in +-settings.initial_angles, and the linear layer.
        """
        super().__init__()
        self.settings = settings
        self.simulator = simulator
        self.encoding = AmplitudeEncoding(settings, train_embeddings, generator)
        self.encoder, self.second_module = circuits(settings)
        scale = settings.initial_angles
        self.encoder_weights = nn.Parameter(_uniform((settings.encoders, self.encoder.weights), scale, generator))
        self.second_weights = nn.Parameter(_uniform((self.second_module.weights,), scale, generator))
        self.linear = nn.Linear(settings.measured, CLASSES)
        with torch.no_grad():
            bound = 1 / math.sqrt(settings.measured)
            self.linear.weight.copy_(_uniform(self.linear.weight.shape, bound, generator))
            self.linear.bias.copy_(_uniform(self.linear.bias.shape, bound, generator))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits [rows, 2] of embeddings [rows, dimension]."""
        states = self.encoding(embeddings)[None]
        outputs = [self.simulator.expectations(self.encoder, weights[None], states=states) for weights in self.encoder_weights]
        inputs = self._merge(outputs)
        return self.linear(self.simulator.expectations(self.second_module, self.second_weights[None], inputs)[0])  # type: ignore[no-any-return]

    def _merge(self, outputs: list[torch.Tensor]) -> torch.Tensor:
        """Turn E encoder outputs [trials, rows, Q] into the second module's inputs, [trials, rows, inputs]."""
        scale = math.pi if self.settings.angle_scale == "pi" else self.settings.angle_scale
        if self.settings.merge == "mean":
            return scale * torch.stack(outputs).mean(dim=0)
        return scale * torch.cat(outputs, dim=-1)[..., : self.second_module.inputs]


class MultiLayerPerceptron(nn.Sequential):
    """One hidden ReLU layer, or none: the paper's classical head with 1,538 (hidden 0) to 148,034 (192) parameters at 768 dimensions."""

    def __init__(self, settings: MlpHead, dimension: int, generator: torch.Generator) -> None:
        sizes = [dimension, settings.hidden, CLASSES] if settings.hidden else [dimension, CLASSES]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            with torch.no_grad():
                layer.weight.copy_(_uniform((outputs, inputs), 1 / math.sqrt(inputs), generator))
                layer.bias.copy_(_uniform((outputs,), 1 / math.sqrt(inputs), generator))
            layers += [layer, nn.ReLU()]
        super().__init__(*layers[:-1])


def _uniform(shape: tuple[int, ...] | torch.Size, bound: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(tuple(shape), generator=generator) * 2 - 1) * bound
