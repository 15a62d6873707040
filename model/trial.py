"""A trial: every setting that its result depends on, and its seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from hadamard.model.errors import SettingsError
from hadamard.model.heads.base import ClosedFormHead, HeadSettings
from hadamard.model.heads.registry import DEFAULT, HEADS, union_of
from hadamard.model.settings import Data, Fold, Mpi, SentenceEncoder, Settings, Training
from hadamard.model.simulators.registry import SIMULATORS, SimulatorName

if TYPE_CHECKING:
    AnyHead: TypeAlias = HeadSettings
else:
    AnyHead = union_of(HEADS, DEFAULT)


class TrialSettings(Settings):
    """Every setting that a trial's result depends on, apart from the seeds."""

    data: Data = Data()
    sentence_encoder: SentenceEncoder = SentenceEncoder()
    head: AnyHead = DEFAULT()
    training: Training = Training()
    simulator: SimulatorName = "auto"
    """`auto`, or one by name (docs/simulators.md)."""
    mpi: Mpi = Mpi()
    precision: Literal["float32", "float64"] = "float32"
    """Of amplitudes, angles and parameters."""

    def check(self, dimension: int, train: int) -> None:
        """Raise a SettingsError if settings, each valid by itself, cannot go together.

        Args:
            dimension: Length of an embedding.
            train: Sentences of the smallest training side.
        """
        self.head.check(dimension, train)
        unfrozen = self.sentence_encoder.representation == "unfrozen"
        if unfrozen and isinstance(self.head, ClosedFormHead):
            raise SettingsError(
                f"sentence_encoder.representation = unfrozen trains encoder and head together by gradient, but a {self.head.kind} head is "
                "fitted in one go. Use frozen or setfit, or head: {kind: mlp, hidden: 0}, a logistic regression trained by gradient"
            )
        simulator = SIMULATORS.get(self.simulator)  # `auto` finds one that fits
        if simulator and not simulator.state_gradient and (what := self.head.state_gradient(unfrozen)):
            raise SettingsError(f"{what} needs the gradient of the state, which {simulator.name} does not give; use simulator: auto")


class Trial(Settings):
    """One row x split, as written to `trial.json`: what is trained, retried and tracked."""

    key: str
    arm: str
    """What is compared: `r07` for row 7 of the design, or a baseline's name."""
    candidate: int | None = None
    """Which of the settings that the arm may choose from, counted from 0; None where there is nothing to choose."""
    fold: Fold | None = None
    """Given, the trial is part of a cross-validation inside the drawn sentences, and sees no test sentence."""
    settings: TrialSettings
    data_hash: str
    sentence_encoder_hash: str
    split: int
    split_seed: int
    """Seeds the draw of train, validation and test."""
    seed: int
    """Seeds initial parameters and batch order."""
    replicate: int = 0
    """Tells apart rows of the design with the same settings."""
    factors: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """The row's factor values by dotted path, for the tables; empty for a baseline."""

    @property
    def shape(self) -> str:
        """What trials have in common that can be trained together: all that fixes the shapes of tensors and the course of an epoch.

        Learning rate, weight decay, what the head leaves free, seeds and split may differ; the split, not where the sentence encoder is
        tuned on it. Heads that are fitted in closed form share only their sentences.
        """
        settings, head, fold = self.settings, self.settings.head, self.fold
        exclude: dict[str, bool | set[str]] = {"training": {"lr", "weight_decay"}, "head": set(head.free)}
        if isinstance(head, ClosedFormHead):
            exclude = {"training": True, "head": True, "simulator": True, "mpi": True, "precision": True}
        elif not head.simulated:
            exclude |= {"simulator": True, "mpi": True}
        alike = [settings.model_dump_json(exclude=exclude), self.data_hash, self.sentence_encoder_hash]
        match settings.sentence_encoder.representation:
            case "frozen":
                alike.append("" if fold is None else str(settings.data.held_out(fold)))
            case "setfit":
                alike += [str(self.split_seed), "" if fold is None else fold.model_dump_json()]
            case "unfrozen":
                alike.append(self.key)
        return " ".join(alike)

    @property
    def digest(self) -> str:
        """The hash at the end of the key: the trial's identity, whatever number its row has."""
        return self.key.rsplit("-", 1)[-1]
