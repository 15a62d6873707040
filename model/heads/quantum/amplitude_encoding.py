"""From an embedding to the amplitudes of a quantum state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch

from hadamard.model.heads.principal_components import fit_each, principal_directions
from hadamard.model.heads.quantum.settings import QuantumHead, check_width


class AmplitudeEncoding:
    """Maps embeddings [trials, rows, dimension] to unit vectors [trials, rows, up to 2**qubits].

    An embedding that is too long is reduced: by an uncentred PCA of the training embeddings, to its leading coordinates, or by a trained
    projection. One that fits is not reduced, whatever `reduction` says; the amplitudes after it are 0.

    Attributes:
        capacity: Numbers of an embedding that fit: 2**qubits, less one for a constant.
        components: [trials, dimension, capacity] where the reduction is a PCA; else None.
        projection: Shape (dimension, capacity) of a trial's projection where the reduction is one; the caller holds its parameters.
    """

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Fit the PCA, if the reduction is one.

        Args:
            settings: Qubits, reduction and constant, the same for all trials.
            train_embeddings: [sentences, dimension] of each trial's training set; trials that pass the same tensor object share a fit.
        """
        self.dimension = train_embeddings[0].shape[1]
        check_width(settings, self.dimension)
        self.constant = settings.constant
        self.capacity = 2**settings.qubits - settings.constant
        self.reduction = settings.reduction if self.dimension > self.capacity else "none"
        self.projection = (self.dimension, self.capacity) if self.reduction == "projection" else None
        self.components: torch.Tensor | None = None
        if self.reduction == "pca":
            self.components = fit_each(train_embeddings, lambda embeddings: principal_directions(embeddings, self.capacity))

    def states(self, embeddings: torch.Tensor, projection: torch.Tensor | None = None) -> torch.Tensor:
        """Return unit vectors [trials, rows, up to 2**qubits].

        Args:
            embeddings: [trials, rows, dimension].
            projection: [trials, dimension * capacity] where the reduction is one; differentiable.
        """
        vectors = embeddings
        if projection is not None:
            vectors = torch.bmm(vectors, projection.view(-1, self.dimension, self.capacity))
        elif self.components is not None:
            vectors = torch.bmm(vectors, self.components)
        elif self.reduction == "truncate":
            vectors = vectors[..., : self.capacity]
        if self.constant:
            vectors = torch.nn.functional.pad(vectors, (0, 1), value=1.0)
        return torch.nn.functional.normalize(vectors, dim=-1)

    def select(self, trials: Sequence[int]) -> Self:
        """Return the encoding of some of the trials."""
        selected = copy.copy(self)
        selected.components = None if self.components is None else self.components[list(trials)]
        return selected
