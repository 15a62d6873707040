"""The multi-layer perceptron, trained like the quantum head."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field

from hadamard.model.heads.base import CLASSES, GradientHead, HeadBatch, Rngs, check_components
from hadamard.model.heads.initialisation import uniform
from hadamard.model.heads.principal_components import PrincipalComponents
from hadamard.model.lazy import torch

if TYPE_CHECKING:
    from hadamard.model.simulators.base import Simulator


class MlpHead(GradientHead):
    """Multi-layer perceptron with one hidden layer, or none, trained like the quantum head."""

    kind: Literal["mlp"]
    hidden: Annotated[int, Field(ge=0, le=10**5)] = 48
    """Width of the hidden layer; 0: no hidden layer, a logistic regression."""
    components: Annotated[int, Field(ge=0, le=10**5)] = 0
    """Principal components of the training embeddings that it reads; 0: the embedding itself."""

    def check(self, dimension: int, train: int) -> None:
        """Check that there are as many principal components as it reads."""
        check_components("head.components", self.components, dimension, train)

    def parameters(self, dimension: int) -> int:
        """Return the weights and biases of all layers."""
        inputs = self.components or dimension
        if not self.hidden:
            return (inputs + 1) * CLASSES
        return (inputs + 1) * self.hidden + (self.hidden + 1) * CLASSES

    def principal_components(self, dimension: int) -> int:
        """Return how many it reads."""
        return self.components

    @classmethod
    def build(cls, settings: Sequence[Self], train_embeddings: Sequence[torch.Tensor], simulator: Simulator | None) -> HeadBatch:
        """Make the heads of several trials."""
        return MultiLayerPerceptron(settings[0], train_embeddings)


class MultiLayerPerceptron:
    """One hidden ReLU layer, or none: the paper's classical head with 1,538 (hidden 0) to 148,034 (192) parameters at 768 dimensions."""

    def __init__(self, settings: MlpHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Make the heads of several trials; see `GradientHead.build`."""
        self.like = train_embeddings[0]
        self.principal = PrincipalComponents(train_embeddings, settings.components, centred=True) if settings.components else None
        sizes = [settings.components or self.like.shape[1], *([settings.hidden] if settings.hidden else []), CLASSES]
        self.layers = list(itertools.pairwise(sizes))
        self.sizes = [size for inputs, outputs in self.layers for size in (inputs * outputs, outputs)]

    def initial_parameters(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw weights and biases of a layer uniform in +-1/sqrt(its inputs)."""
        bounds = [1 / math.sqrt(inputs) for inputs, _ in self.layers for _ in range(2)]
        rows = [
            torch.cat([uniform(size, bound, generator) for size, bound in zip(self.sizes, bounds, strict=True)]) for generator in generators
        ]
        return torch.stack(rows).to(self.like)

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
        """Return logits [trials, rows, 2]."""
        parts = torch.split(parameters, self.sizes, dim=1)
        values = self.principal.of(embeddings) if self.principal else embeddings
        for layer, (inputs, outputs) in enumerate(self.layers):
            weight, bias = parts[2 * layer].view(-1, outputs, inputs), parts[2 * layer + 1]
            values = torch.baddbmm(bias[:, None], torch.relu(values) if layer else values, weight.mT)
        return values

    def select(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        selected = copy.copy(self)
        selected.principal = self.principal and self.principal.select(trials)
        return selected
