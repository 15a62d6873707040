"""Classical heads trained by gradient like the quantum one: the multi-layer perceptron, and quadratic forms with a Fourier series.

Owns the way from embeddings to logits and the initial parameters. Does not own the training loop, nor heads fitted in one go.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Self

import torch

from hadamard.model.heads.initialisation import normal, uniform
from hadamard.model.heads.layout import CLASSES
from hadamard.model.heads.quantum import Draws
from hadamard.model.heads.reduction import Principal
from hadamard.model.settings import MlpHead, QuadraticHead


class MultiLayerPerceptron:
    """One hidden ReLU layer, or none: the paper's classical head with 1,538 (hidden 0) to 148,034 (192) parameters at 768 dimensions."""

    def __init__(self, settings: MlpHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Make the heads of a team for embeddings [sentences, dimension] of each trial: their precision and device are the head's."""
        self.like = train_embeddings[0]
        self.principal = Principal(train_embeddings, settings.components, centred=True) if settings.components else None
        sizes = [settings.components or self.like.shape[1], *([settings.hidden] if settings.hidden else []), CLASSES]
        self.layers = list(itertools.pairwise(sizes))
        self.sizes = [size for inputs, outputs in self.layers for size in (inputs * outputs, outputs)]

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw weights and biases of a layer uniform in +-1/sqrt(its inputs)."""
        bounds = [1 / math.sqrt(inputs) for inputs, _ in self.layers for _ in range(2)]
        rows = [
            torch.cat([uniform(size, bound, generator) for size, bound in zip(self.sizes, bounds, strict=True)]) for generator in generators
        ]
        return torch.stack(rows).to(self.like)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2]."""
        parts = torch.split(parameters, self.sizes, dim=1)
        values = self.principal.of(embeddings) if self.principal else embeddings
        for layer, (inputs, outputs) in enumerate(self.layers):
            weight, bias = parts[2 * layer].view(-1, outputs, inputs), parts[2 * layer + 1]
            values = torch.baddbmm(bias[:, None], torch.relu(values) if layer else values, weight.mT)
        return values

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        some = copy.copy(self)
        some.principal = self.principal and self.principal.only(trials)
        return some


class QuadraticFourier:
    """The quantum head's function without its circuits: K quadratic forms of low rank, a Fourier series in each, a linear layer.

    Of the principal components y of an embedding, form k is the sum over r of s_r (u_kr . y)^2 with signs s_r = +1, -1, ... in turn; the
    linear layer reads cos(n pi form) and sin(n pi form) for n = 1..frequencies.
    """

    def __init__(self, settings: QuadraticHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Make the heads of a team for embeddings [sentences, dimension] of each trial: their precision and device are the head's."""
        self.shape, self.like = settings, train_embeddings[0]
        self.principal = Principal(train_embeddings, settings.components, centred=False)  # of centred ones, squares see nothing linear
        self.signs = self.like.new_tensor([(-1) ** rank for rank in range(settings.rank)])
        self.features = settings.forms * (2 * settings.frequencies or 1)
        self.sizes = [settings.forms * settings.rank * settings.components, CLASSES * self.features, CLASSES]

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw the linear functions normal with variance one over the components, the linear layer uniform in +-1/sqrt(its inputs)."""
        forms, linear, bias = self.sizes
        bound = 1 / math.sqrt(self.features)
        rows = [
            torch.cat(
                [
                    normal(forms, generator) / self.shape.components**0.5,
                    uniform(linear, bound, generator),
                    uniform(bias, bound, generator),
                ]
            )
            for generator in generators
        ]
        return torch.stack(rows).to(self.like)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2]."""
        forms, linear, bias = torch.split(parameters, self.sizes, dim=1)
        components = self.principal.of(embeddings)
        functions = forms.view(len(parameters), -1, components.shape[2]) @ components.mT  # [trials, forms * rank, rows]
        squares = functions.square().view(len(parameters), self.shape.forms, self.shape.rank, -1)
        values = (squares * self.signs[:, None]).sum(dim=2).mT
        if self.shape.frequencies:
            angles = torch.cat([math.pi * n * values for n in range(1, self.shape.frequencies + 1)], dim=2)
            values = torch.cat([torch.cos(angles), torch.sin(angles)], dim=2)
        return torch.baddbmm(bias[:, None], values, linear.view(len(parameters), CLASSES, -1).mT)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        some = copy.copy(self)
        some.principal = self.principal.only(trials)
        return some
