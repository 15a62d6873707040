"""From an embedding to the amplitudes of a quantum state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch

from hadamard.model.heads.principal_components import fit_each, principal_directions
from hadamard.model.heads.quantum.settings import QuantumHead, check_width


class AmplitudeEncoding:
    """Maps the embeddings of a pack's trials, [trials, rows, dimension], to unit vectors [trials, rows, up to 2**qubits].

    Longer embeddings are reduced as named (uncentred PCA of a trial's training embeddings, the leading coordinates, or a trained
    projection); one that is already short enough is left as it is, whatever is named: the amplitudes after it are 0.

    Attributes:
        components: [trials, dimension, room] where the reduction is a PCA.
        projection: Shape (dimension, room) of a trial's projection where it is one; its parameters are the caller's.
    """

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        """Fit what is fitted.

        Args:
            settings: Qubits, reduction and constant, the same for all trials.
            train_embeddings: [sentences, dimension] for each trial, the training side of its split: a PCA is fitted on it and on nothing
                else, once for trials that are given the same tensor.
        """
        self.dimension = train_embeddings[0].shape[1]
        check_width(settings, self.dimension)
        self.constant = settings.constant
        self.room = 2**settings.qubits - settings.constant
        self.reduction = settings.reduction if self.dimension > self.room else "none"
        self.projection = (self.dimension, self.room) if self.reduction == "projection" else None
        self.components: torch.Tensor | None = None
        if self.reduction == "pca":
            self.components = fit_each(train_embeddings, lambda one: principal_directions(one, self.room))

    def states(self, embeddings: torch.Tensor, projection: torch.Tensor | None = None) -> torch.Tensor:
        """Return unit vectors [trials, rows, up to 2**qubits].

        Args:
            embeddings: [trials, rows, dimension].
            projection: [trials, dimension * room] where the reduction is one; differentiable.
        """
        vectors = embeddings
        if projection is not None:
            vectors = torch.bmm(vectors, projection.view(-1, self.dimension, self.room))
        elif self.components is not None:
            vectors = torch.bmm(vectors, self.components)
        elif self.reduction == "truncate":
            vectors = vectors[..., : self.room]
        if self.constant:
            vectors = torch.nn.functional.pad(vectors, (0, 1), value=1.0)
        return torch.nn.functional.normalize(vectors, dim=-1)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the encoding of some of the trials."""
        some = copy.copy(self)
        some.components = None if self.components is None else self.components[list(trials)]
        return some
