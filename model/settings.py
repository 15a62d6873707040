"""The settings of data, sentence encoder, training and MPI ranks, and the base class of all settings. Heads have theirs in heads/."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

EVALUATION_ROWS = 256
"""Sentences of each trial that are evaluated at once, so that memory does not grow with the corpus."""


def _power_of_two(number: int) -> int:
    if number.bit_count() != 1:
        raise ValueError(f"should be a power of two (1, 2, 4, ...), not {number}: each doubling distributes the states by one more qubit")
    return number


PowerOfTwo = Annotated[int, Field(ge=1, le=2**20), AfterValidator(_power_of_two)]


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Fold(Settings):
    """One fold of a repeated k-fold cross-validation inside the drawn sentences, held out while the other folds train.

    Attributes:
        repeat: Index of the repetition, each with its own division into folds.
        index: Index of the fold.
        of: Number of folds, k.
    """

    repeat: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=2)]


class Data(Settings):
    """The labelled sentences and how a split draws from them (paper: 256 + 256 drawn, 435 train, 77 validate, the rest test)."""

    name: str = "reviews"
    """A corpus that needs no path (model/data/sources.py): `reviews` (our own grammar, nothing to download) or `sst2`; or any name of your
    own together with `path`."""
    path: str | None = None
    """A file in one of the formats of model/data/formats.py, such as TSV with the header `text<TAB>label`, or a directory of such files,
    which are pooled. None: see `name`."""
    train_per_class: Annotated[int, Field(ge=2, le=10**7)] = 256
    """Sentences drawn per class and split, for training and validation together."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Fraction of the drawn sentences that form the validation set."""
    sentences: Annotated[int, Field(ge=100, le=20_000)] = 2000
    """How many sentences the `reviews` grammar writes; other corpora ignore it."""
    difficulty: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How compositional the `reviews` sentences are: 0 plain words of praise and blame, 1 nearly all negated, hedged or contrasted."""

    @property
    def set_sizes(self) -> tuple[int, int]:
        """How many sentences the training set and the validation set of a split have."""
        drawn = 2 * self.train_per_class
        validation = round(self.validation_fraction * drawn)
        return drawn - validation, validation

    def fold_size(self, fold: Fold) -> int:
        """Return how many of the drawn sentences of each class a fold holds out; folds differ by one at most."""
        return self.train_per_class // fold.of + (fold.index < self.train_per_class % fold.of)


class Tuning(Settings):
    """How a sentence encoder is tuned whose representation is not `frozen`."""

    pairs: Annotated[int, Field(ge=1, le=1000)] = 5
    """`setfit`: pairs drawn for each sentence and epoch within its own class, and as many across (R of Tunstall et al.)."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    """`setfit`: epochs, each with newly drawn pairs."""
    batch: Annotated[int, Field(ge=1, le=10**6)] = 16
    """`setfit`: pairs per step."""
    lr: Annotated[float, Field(gt=0)] = 2e-5
    """Learning rate of the sentence encoder's weights; the head has its own."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of its matrix products; processors without native bfloat16 are faster in float32."""


class SentenceEncoder(Settings):
    """The sentence transformer that turns a sentence into an embedding."""

    name: str = "all-MiniLM-L6-v2"
    """A name on the Hugging Face hub (`sentence-transformers/` may be left out) or a local directory."""
    representation: Literal["frozen", "setfit", "unfrozen"] = "frozen"
    """`frozen`: pretrained; `setfit`: tuned contrastively on the training set of each split before any head is trained (Tunstall et al.,
    arXiv 2209.11055); `unfrozen`: trained together with the head, which then must be one that is trained by gradient."""
    tuning: Tuning = Tuning()


class Training(Settings):
    """How a head is trained by gradient: Adam on the cross-entropy (paper.md, "Quantum head")."""

    epochs: Annotated[int, Field(ge=1, le=10**6)] = 30
    batch: Annotated[int, Field(ge=1, le=10**6)] = 16
    lr: Annotated[float, Field(gt=0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class Mpi(Settings):
    """How many MPI processes train a trial together, where one is not enough (docs/mpi.md)."""

    ranks: PowerOfTwo | Literal["auto"] = "auto"
    """Processes in all, in groups of `shards`; `auto`: as many as the memory available to each makes necessary."""
    shards: PowerOfTwo | Literal["auto"] = "auto"
    """Ranks that share a state, each holding a shard of it; groups of ranks divide a batch. `auto`: as few as memory allows."""
