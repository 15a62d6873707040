"""The settings of data, sentence encoder, training and MPI ranks, and the base of all settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

EVALUATION_ROWS = 256
"""Sentences of each trial evaluated at once: memory does not grow with the corpus."""


def _power_of_two(number: int) -> int:
    if number.bit_count() != 1:
        raise ValueError(f"should be a power of two (1, 2, 4, ...), not {number}: each doubling shares the states out by one qubit more")
    return number


PowerOfTwo = Annotated[int, Field(ge=1), AfterValidator(_power_of_two)]


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Fold(Settings):
    """One part of the drawn sentences, held out while the others train: of a k-fold cross-validation that is repeated with other parts."""

    repeat: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=2)]


class Data(Settings):
    """The labelled sentences and how a split draws from them (paper: 256 + 256 drawn, 85/15 into 435 and 77, test on the rest)."""

    name: str = "reviews"
    """`reviews` (our own grammar, nothing to download), `sst2`, or any name of your own together with `path`."""
    path: str | None = None
    """A TSV file with the header `text<TAB>label`, or a directory of such files, which are pooled. None: see `name`."""
    train_per_class: Annotated[int, Field(ge=2)] = 256
    """Sentences drawn per class and split; train and validation together."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Part of the drawn sentences kept for validation."""
    sentences: Annotated[int, Field(ge=100, le=20_000)] = 2000
    """How many sentences the `reviews` grammar writes. Other corpora ignore it."""
    difficulty: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How compositional the `reviews` sentences are: 0 plain words of praise and blame, 1 nearly all negated, hedged or contrasted."""

    @property
    def sides(self) -> tuple[int, int]:
        """How many sentences a split has for training and for validation."""
        drawn = 2 * self.train_per_class
        validation = round(self.validation_fraction * drawn)
        return drawn - validation, validation

    def held_out(self, fold: Fold) -> int:
        """Return how many of the drawn sentences of each class a fold holds out; the parts differ by one at most."""
        return self.train_per_class // fold.of + (fold.index < self.train_per_class % fold.of)


class Tuning(Settings):
    """How a sentence encoder is tuned, where its representation is not `frozen`."""

    pairs: Annotated[int, Field(ge=1)] = 5
    """`setfit`: so many pairs of its own class, and as many of the other, are drawn for each sentence and epoch (R of Tunstall et al.)."""
    epochs: Annotated[int, Field(ge=1)] = 1
    """`setfit`: passes over pairs, drawn anew for each."""
    batch: Annotated[int, Field(ge=1)] = 16
    """`setfit`: pairs of a step."""
    lr: Annotated[float, Field(gt=0)] = 2e-5
    """Of the sentence encoder's own weights, whatever that of the head is."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of its matrix products; processors without them for bfloat16 are faster in float32."""


class SentenceEncoder(Settings):
    """The sentence transformer that turns a sentence into an embedding."""

    name: str = "all-MiniLM-L6-v2"
    """A name on the Hugging Face hub (`sentence-transformers/` may be left out) or a local directory."""
    representation: Literal["frozen", "setfit", "unfrozen"] = "frozen"
    """`frozen`: embeddings as they come; `setfit`: tuned by contrast on the training side of each split before any head is trained
    (Tunstall et al., arXiv 2209.11055); `unfrozen`: tuned together with the head, which then has to be one that is trained by gradient."""
    tuning: Tuning = Tuning()


class Training(Settings):
    """How a head is trained by gradient: Adam on the cross-entropy (paper.md, "Quantum head")."""

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 16
    lr: Annotated[float, Field(gt=0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class Mpi(Settings):
    """How many MPI processes train a trial together, where one is not enough (docs/mpi.md)."""

    ranks: PowerOfTwo | Literal["auto"] = "auto"
    """Processes in all, `shards` for each group of them; `auto`: as many as the memory that each may take makes necessary."""
    shards: PowerOfTwo | Literal["auto"] = "auto"
    """Ranks that share a state, each holding a shard; groups of so many share out a batch. `auto`: as few as memory allows."""
