"""The contract of heads: what a kind of head tells about itself, and what is trained or fitted.

A head is a settings class. It says what a plan needs without importing torch (`model/lazy.py`), and makes what is trained. Two kinds of
training exist: by gradient, all trials of one shape at once (`GradientHead`), and in one go, one trial at a time (`ClosedFormHead`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from hadamard.model.errors import SettingsError
from hadamard.model.settings import Settings

if TYPE_CHECKING:
    import torch

    from hadamard.model.circuits.circuit import Circuit
    from hadamard.model.simulators.base import Simulator

CLASSES = 2
Draws = Sequence[np.random.Generator]
"""One generator per trial, from which heads with noise or finite shots draw."""
Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CircuitUse:
    """How a head uses a circuit: rows of it for each sentence, in a training step and in an evaluation."""

    circuit: Circuit
    training_rows: int
    evaluation_rows: int


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (None where a head gives no probabilities), and which sentences were classified right."""

    loss: float | None
    right: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """The share of sentences classified right."""
        return float(self.right.mean())

    @property
    def is_finite(self) -> bool:
        """Whether the loss, if there is one, is a number."""
        return self.loss is None or math.isfinite(self.loss)


class HeadSettings(Settings):
    """The settings of a head of one kind: a subclass has a field `kind`, a Literal of its name.

    Attributes:
        simulated: Whether circuits are simulated for it: the simulator and MPI ranks then decide its result, to rounding.
        free: Settings in which trials may differ that are trained together: they change no shape of a tensor.
    """

    simulated: ClassVar[bool] = False
    free: ClassVar[frozenset[str]] = frozenset()
    kind: str

    def check(self, dimension: int, train: int) -> None:
        """Raise a SettingsError if settings cannot go together, or not with the embeddings.

        Args:
            dimension: Length of an embedding.
            train: Sentences of the smallest training side.
        """

    def parameters(self, dimension: int) -> int | None:
        """Return how many parameters are trained on embeddings of this dimension; None where that depends on the data."""
        raise NotImplementedError

    def principal_components(self, dimension: int) -> int:
        """Return how many principal components of the training embeddings are fitted; 0: none."""
        return 0

    def circuits(self) -> tuple[CircuitUse, ...]:
        """Return the circuits that are simulated for it; those without gates are left out."""
        return ()

    def state_gradient(self, embeddings_trained: bool) -> str | None:
        """Return what of it needs the gradient of initial states, in the words of the study; None where nothing does.

        Args:
            embeddings_trained: Whether the sentence encoder is trained together with the head.
        """
        return None


class GradientHead(HeadSettings):
    """A head trained by Adam on the cross-entropy, all trials of one shape at once."""

    @classmethod
    def build(cls, settings: Sequence[Self], train_embeddings: Sequence[torch.Tensor], simulator: Simulator | None) -> HeadBatch:
        """Make the heads of trials that are alike in every shape.

        Args:
            settings: Of each trial; they differ in what is `free` alone.
            train_embeddings: [sentences, dimension] of each trial, for what is fitted to them; their precision and device are the head's.
            simulator: What computes expectations; None where `simulated` is False.
        """
        raise NotImplementedError


class ClosedFormHead(HeadSettings):
    """A head fitted in one go."""

    def fit(self, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
        """Fit the head on embeddings [sentences, dimension] and labels [sentences]; `seed` is below 2**32."""
        raise NotImplementedError


class HeadBatch(Protocol):
    """The heads of several trials, alike in every shape.

    A trial's parameters are one row of a matrix [trials, parameters], so that optimiser, checkpoints and the choice of trials need not
    know what they mean. No operation here mixes trials: whether a trial's numbers are the same alone to the bit is up to the simulator.
    """

    def start(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw initial parameters [trials, parameters], each trial's by a generator of its own: the same in any company and precision."""
        ...

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return logits [trials, rows, 2] of embeddings [trials, rows, dimension] by parameters [trials, parameters]; see `Draws`."""
        ...

    def only(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials, in the order given."""
        ...


class FittedHead(Protocol):
    """A head that has been fitted.

    Attributes:
        parameters: How many numbers it has learned.
    """

    @property
    def parameters(self) -> int:
        """How many numbers it has learned."""
        ...

    def score(self, embeddings: Vectors, labels: Labels) -> Score:
        """Return how good it is on embeddings [sentences, dimension] and labels [sentences]."""
        ...


def check_components(name: str, wanted: int, dimension: int, train: int) -> None:
    """Raise a SettingsError if more principal components are wanted than there are of so many training sentences and dimensions.

    Args:
        name: The setting that wants them.
        wanted: How many.
        dimension: Length of an embedding.
        train: Training sentences.
    """
    if wanted > (most := min(dimension, train)):
        raise SettingsError(f"{name} = {wanted}, but {train} training sentences of {dimension} dimensions have {most} principal components")
