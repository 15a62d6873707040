"""A trial: its seeds and every setting that its result depends on. Settings of a part are in settings.py, of heads in heads/."""

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
    """Every setting that a trial's result depends on, except the seeds."""

    data: Data = Data()
    sentence_encoder: SentenceEncoder = SentenceEncoder()
    head: AnyHead = DEFAULT.model_validate({})
    training: Training = Training()
    simulator: SimulatorName = "auto"
    """A simulator's name, or `auto` (docs/simulators.md)."""
    mpi: Mpi = Mpi()
    precision: Literal["float32", "float64"] = "float32"
    """Of amplitudes, angles and parameters."""

    def check(self, dimension: int, train: int) -> None:
        """Check settings, each valid by itself, against each other.

        Args:
            dimension: Length of an embedding.
            train: Sentences of the smallest training set.

        Raises:
            SettingsError: They cannot go together.
        """
        self.head.check(dimension, train)
        unfrozen = self.sentence_encoder.representation == "unfrozen"
        if unfrozen and isinstance(self.head, ClosedFormHead):
            raise SettingsError(
                f"sentence_encoder.representation = unfrozen trains encoder and head together by gradient, but a {self.head.kind} head is "
                "fitted in closed form. Use frozen or setfit, or head: {kind: mlp, hidden: 0}, a logistic regression trained by gradient"
            )
        simulator = SIMULATORS.get(self.simulator)  # None for `auto`, which chooses one that fits
        if simulator and not simulator.state_gradient and (what := self.head.state_gradient(unfrozen)):
            raise SettingsError(f"{what} needs the gradient of the state, which {simulator.name} does not compute; use simulator: auto")


class Trial(Settings):
    """One row x split, as written to `trial.json`: what is trained, retried and tracked."""

    key: str
    arm: str
    """The arm that it belongs to: `r07` for row 7 of the design, or a baseline's name."""
    candidate: int | None = None
    """Index, from 0, of the settings among those that the arm chooses from; None where there is nothing to choose."""
    fold: Fold | None = None
    """The fold, if the trial is part of a cross-validation inside the drawn sentences; it then uses no test sentence."""
    settings: TrialSettings
    data_hash: str
    sentence_encoder_hash: str
    split: int
    split_seed: int
    """Seeds the draw of train, validation and test."""
    seed: int
    """Seeds initial parameters and batch order."""
    replicate: int = 0
    """Distinguishes rows of the design with the same settings."""
    factors: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """The row's factor values by dotted path, for the tables; empty for a baseline."""

    @property
    def shape(self) -> str:
        """What trials must have in common to be trained together: all that determines the shapes of tensors and the steps of an epoch.

        Learning rate, weight decay, the head's `per_trial` settings, seeds and split may differ; the split may not where the sentence
        encoder is tuned on it. Heads that are fitted in closed form only share their sentences.
        """
        settings, head, fold = self.settings, self.settings.head, self.fold
        exclude: dict[str, bool | set[str]] = {"training": {"lr", "weight_decay"}, "head": set(head.per_trial)}
        if isinstance(head, ClosedFormHead):
            exclude = {"training": True, "head": True, "simulator": True, "mpi": True, "precision": True}
        elif not head.simulated:
            exclude |= {"simulator": True, "mpi": True}
        common = [settings.model_dump_json(exclude=exclude), self.data_hash, self.sentence_encoder_hash]
        match settings.sentence_encoder.representation:
            case "frozen":
                common.append("" if fold is None else str(settings.data.fold_size(fold)))
            case "setfit":
                common += [str(self.split_seed), "" if fold is None else fold.model_dump_json()]
            case "unfrozen":
                common.append(self.key)
        return " ".join(common)

    @property
    def digest(self) -> str:
        """The hash at the end of the key, which identifies the trial whatever number its row has."""
        return self.key.rsplit("-", 1)[-1]
