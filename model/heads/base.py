"""The contract of heads: what a kind of head states about itself, and what is trained or fitted. registry.py lists all kinds.

A head is a settings class. It states what a plan needs without importing torch (`model/lazy.py`), and makes what is trained. There are two
ways of training: by gradient, all trials of one shape at once (`GradientHead`), and in closed form, one trial at a time (`ClosedFormHead`).
How to add one: docs/extending/heads.md.
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
Rngs = Sequence[np.random.Generator]
"""One random generator per trial, for heads with noise or finite shots."""
Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CircuitUse:
    """How a head uses a circuit.

    Attributes:
        circuit: What is simulated.
        training_rows: Rows of it per sentence in a training step.
        evaluation_rows: Rows of it per sentence in an evaluation.
    """

    circuit: Circuit
    training_rows: int
    evaluation_rows: int


@dataclass(frozen=True)
class Score:
    """How good a head is on some sentences.

    Attributes:
        loss: Mean cross-entropy; None where a head gives no probabilities.
        correct: [sentences], whether each was classified correctly.
    """

    loss: float | None
    correct: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """The fraction of sentences classified correctly."""
        return float(self.correct.mean())

    @property
    def is_finite(self) -> bool:
        """Whether the loss, if there is one, is finite."""
        return self.loss is None or math.isfinite(self.loss)


class HeadSettings(Settings):
    """The settings of a head of one kind: a subclass has a field `kind`, a Literal of its name.

    Attributes:
        simulated: Whether circuits are simulated for it: simulator and MPI ranks then decide its result, to rounding.
        per_trial: Settings in which trials that are trained together may differ, since they change no tensor's shape.
    """

    simulated: ClassVar[bool] = False
    per_trial: ClassVar[frozenset[str]] = frozenset()
    kind: str

    def check(self, dimension: int, train: int) -> None:
        """Check settings against each other and against the embeddings.

        Args:
            dimension: Length of an embedding.
            train: Sentences of the smallest training set.

        Raises:
            SettingsError: They cannot go together.
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
        """Return the setting that needs the gradient of initial states, as a study writes it; None where none does.

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
            settings: Of each trial; they differ in `per_trial` settings only.
            train_embeddings: [sentences, dimension] of each trial's training set, for what is fitted to it; their precision and device are
                the head's.
            simulator: Computes expectations; None where `simulated` is False.
        """
        raise NotImplementedError


class ClosedFormHead(HeadSettings):
    """A head fitted in closed form, or by a solver of its own, one trial at a time."""

    def fit(self, embeddings: Vectors, labels: Labels, seed: int) -> FittedHead:
        """Fit the head on embeddings [sentences, dimension] and labels [sentences]; `seed` is below 2**32."""
        raise NotImplementedError


class HeadBatch(Protocol):
    """The heads of several trials, alike in every shape.

    A trial's parameters are one row of a matrix [trials, parameters], so that optimiser, checkpoints and the selection of trials need not
    know what they mean. No operation mixes trials. Whether a trial's numbers are bit-identical in any company depends on the simulator.
    """

    def initial_parameters(self, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """Draw initial parameters [trials, parameters], each trial's from its own generator, the same in any precision."""
        ...

    def logits(self, parameters: torch.Tensor, embeddings: torch.Tensor, rngs: Rngs) -> torch.Tensor:
        """Return logits [trials, rows, 2].

        Args:
            parameters: [trials, parameters].
            embeddings: [trials, rows, dimension].
            rngs: Of each trial, for heads that draw random numbers.
        """
        ...

    def select(self, trials: Sequence[int]) -> Self:
        """Return the heads of some of the trials, in this order."""
        ...


class FittedHead(Protocol):
    """A head that has been fitted."""

    @property
    def parameters(self) -> int:
        """How many numbers it has learned."""
        ...

    def score(self, embeddings: Vectors, labels: Labels) -> Score:
        """Return how good it is on embeddings [sentences, dimension] and labels [sentences]."""
        ...


def check_components(name: str, wanted: int, dimension: int, train: int) -> None:
    """Check that there are as many principal components as a setting wants.

    Args:
        name: The setting.
        wanted: Its value.
        dimension: Length of an embedding.
        train: Training sentences.

    Raises:
        SettingsError: Fewer can be fitted.
    """
    if wanted > (most := min(dimension, train)):
        raise SettingsError(f"{name} = {wanted}, but {train} training sentences of {dimension} dimensions have {most} principal components")
