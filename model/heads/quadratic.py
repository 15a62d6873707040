"""Quadratic forms of low rank with a Fourier series in each: what a quantum head computes, without a circuit."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field

from hadamard.model.heads.base import CLASSES, GradientHead, HeadBatch, Rngs, check_components
from hadamard.model.heads.initialisation import normal, uniform
from hadamard.model.heads.principal_components import PrincipalComponents
from hadamard.model.lazy import torch

if TYPE_CHECKING:
    from hadamard.model.simulators.base import Simulator


class QuadraticHead(GradientHead):
    """What a quantum head computes, without a circuit: quadratic forms of low rank, a Fourier series in each, and a linear layer.

    An encoder's outputs are quadratic forms of the unit embedding, and the second module is a trigonometric polynomial in them
    (paper.md, "Quantum head").
    """

    kind: Literal["quadratic"]
    components: Annotated[int, Field(ge=1, le=10**4)] = 32
    """Principal components of the training embeddings that it reads."""
    forms: Annotated[int, Field(ge=1, le=10**4)] = 12
    rank: Annotated[int, Field(ge=1, le=10**4)] = 2
    """Rank of each form, a sum of that many squares of linear functions with alternating signs."""
    frequencies: Annotated[int, Field(ge=0, le=1000)] = 2
    """Highest frequency of the Fourier series; 0: the linear layer reads the forms themselves."""

    def check(self, dimension: int, train: int) -> None:
        """Check that there are as many principal components as it reads."""
        check_components("head.components", self.components, dimension, train)

    def parameters(self, dimension: int) -> int:
        """Return the numbers of the forms and of the linear layer."""
        features = self.forms * (2 * self.frequencies or 1)
        return self.forms * self.rank * self.components + (features + 1) * CLASSES

    def principal_components(self, dimension: int) -> int:
        """Return how many it reads."""
        return self.components

    @classmethod
    def build(cls, settings: Sequence[Self], train_embeddings: Sequence[torch.Tensor], simulator: Simulator | None) -> HeadBatch:
        """Make the heads of several trials."""
        return QuadraticFourier(settings[0], train_embeddings)


class QuadraticFourier:
    """The quantum head's function without its circuits: K quadratic forms of low rank, a Fourier series in each, a linear layer.

    Of the principal components y of an embedding, form k is the sum over r of s_r (u_kr . y)^2 with signs s_r = +1, -1, ...; the
    linear layer reads cos(n pi form) and sin(n pi form) for n = 1..frequencies.
    """

    def __init__(self, settings: QuadraticHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Make the heads of several trials; see `GradientHead.build`."""
        self.shape, self.like = settings, train_embeddings[0]
        self.principal = PrincipalComponents(
            train_embeddings, settings.components, centred=False
        )  # of centred ones, squares see nothing linear
        self.signs = self.like.new_tensor([(-1) ** rank for rank in range(settings.rank)])
        self.features = settings.forms * (2 * settings.frequencies or 1)
        self.sizes = [settings.forms * settings.rank * settings.components, CLASSES * self.features, CLASSES]

    def initial_parameters(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
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

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
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

    def select(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials."""
        selected = copy.copy(self)
        selected.principal = self.principal.select(trials)
        return selected
