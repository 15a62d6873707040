"""Which trials are trained together, and settings that cannot go together."""

from __future__ import annotations

from typing import Any

import pytest

from hadamard.model.errors import SettingsError
from hadamard.model.settings import Data, Fold, SentenceEncoder, Training
from hadamard.model.trial import Trial, TrialSettings

QUANTUM: dict[str, Any] = {"kind": "quantum", "qubits": 4}
MLP: dict[str, Any] = {"kind": "mlp"}
SVC: dict[str, Any] = {"kind": "svc"}


def trial(head: dict[str, Any] = QUANTUM, representation: str = "frozen", fold: Fold | None = None, **other: Any) -> Trial:
    """Return a trial whose settings and own fields are given by name."""
    own = {"key": "r01-s0-abc123", "split_seed": 1, "seed": 2, "data_hash": "d", **other}
    encoder = {"sentence_encoder": {"representation": representation}}
    settings = {name: own.pop(name) for name in list(own) if name in TrialSettings.model_fields}
    return Trial.model_validate(
        {"arm": "r01", "fold": fold, "split": 0, "sentence_encoder_hash": "e", **own, "settings": {"head": head, **encoder, **settings}}
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"seed": 3, "split_seed": 4, "key": "other", "replicate": 1}),
        ({"training": {"lr": 0.1}}, {"training": {"weight_decay": 0.2}}),
        ({}, {"head": {**QUANTUM, "angle_scale": 1.0, "initial_angles": 2.0}}),
        ({"head": MLP}, {"head": MLP, "simulator": "torch"}),
        ({"head": SVC}, {"head": {"kind": "logistic", "C": 3.0}, "training": {"epochs": 3}, "precision": "float64"}),
        ({"representation": "setfit"}, {"representation": "setfit", "seed": 3}),
        (
            {"fold": Fold(repeat=0, index=0, of=4), "data": {"train_per_class": 8}},
            {"fold": Fold(repeat=1, index=3, of=4), "data": {"train_per_class": 8}},
        ),
    ],
    ids=["seeds", "learning-rate", "per-trial", "simulator-of-none", "closed-form", "setfit", "folds-of-one-size"],
)
def test_trials_that_differ_only_in_this_are_trained_together(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert trial(**first).shape == trial(**second).shape


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"head": {**QUANTUM, "qubits": 5}}),
        ({}, {"training": {"epochs": 3}}),
        ({}, {"training": {"batch": 3}}),
        ({}, {"simulator": "torch"}),
        ({}, {"precision": "float64"}),
        ({}, {"data_hash": "other"}),
        ({"head": MLP}, {"head": SVC}),
        ({"representation": "setfit"}, {"representation": "setfit", "split_seed": 3}),
        ({"representation": "unfrozen"}, {"representation": "unfrozen", "key": "other"}),
        (
            {"fold": Fold(repeat=0, index=0, of=3), "data": {"train_per_class": 7}},
            {"fold": Fold(repeat=0, index=2, of=3), "data": {"train_per_class": 7}},
        ),
    ],
    ids=["qubits", "epochs", "batch", "simulator", "precision", "corpus", "head", "setfit-split", "unfrozen", "folds-of-different-sizes"],
)
def test_trials_that_differ_in_this_are_not_trained_together(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert trial(**first).shape != trial(**second).shape


def test_the_digest_is_the_end_of_the_key_and_a_trial_is_read_as_it_was_written() -> None:
    assert trial().digest == "abc123"
    whole = trial(fold=Fold(repeat=0, index=1, of=3), data={"sentences": 300})
    assert Trial.model_validate_json(whole.model_dump_json()) == whole


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"head": SVC, "sentence_encoder": {"representation": "unfrozen"}}, "a svc head is fitted in closed form. Use frozen or setfit"),
        ({"head": {**QUANTUM, "qubits": 2}}, "head.qubits = 2 holds 4 amplitudes, but the embedding has 16"),
        ({"head": {"kind": "mlp", "components": 20}}, "head.components = 20, but 100 training sentences of 16 dimensions have 16"),
        (
            {"head": QUANTUM, "simulator": "lightning.qubit", "sentence_encoder": {"representation": "unfrozen"}},
            "sentence_encoder.representation = unfrozen needs the gradient of the state",
        ),
    ],
)
def test_settings_that_cannot_go_together_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        TrialSettings.model_validate(settings).check(dimension=16, train=100)


@pytest.mark.parametrize(("per_class", "fraction", "sizes"), [(256, 0.15, (435, 77)), (2, 0.5, (2, 2)), (10, 0.01, (20, 0))])
def test_a_splits_sizes_are_those_of_the_protocol(per_class: int, fraction: float, sizes: tuple[int, int]) -> None:
    assert Data(train_per_class=per_class, validation_fraction=fraction).set_sizes == sizes


@pytest.mark.parametrize(("per_class", "folds"), [(10, 2), (10, 3), (7, 5)])
def test_folds_add_up_and_differ_by_one_at_most(per_class: int, folds: int) -> None:
    sizes = [Data(train_per_class=per_class).fold_size(Fold(repeat=0, index=index, of=folds)) for index in range(folds)]
    assert sum(sizes) == per_class
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mpi": {"ranks": 3}}, "power of two"),
        ({"training": {"lr": 0}}, "greater than 0"),
        ({"training": {"epochs": 3.0}}, "valid integer"),
        ({"trainig": {}}, "Extra inputs"),
        ({"training": {"lr": float("inf")}}, "finite number"),
    ],
)
def test_a_setting_of_another_name_type_or_range_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrialSettings.model_validate(settings)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Training().lr = 1.0  # type: ignore[misc]
    assert SentenceEncoder() == SentenceEncoder()
