"""The cost model: seconds and bytes of trials, by kind of head, from their circuits and rates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hadamard.model.settings import EVALUATION_ROWS, Fold
from hadamard.model.trial import Trial
from hadamard.orchestrator.planning.cost_model import (
    CHARACTERS,
    FORWARD_SHARE,
    PARAMETER_COPIES,
    STATES_KEPT,
    part_of,
    sides,
    trial_bytes,
    tuning_bytes,
    tuning_seconds,
    work_seconds,
)
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, Rates
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout
from hadamard.orchestrator.study.inputs import inputs_of
from tests.support.studies import TINY, read

SENTENCES, DIMENSION = 300, 384


def trial_of(tmp_path: Path, arm: str = "r00", *overrides: str) -> Trial:
    return next(trial for trial in read(tmp_path, TINY, ["simulator=torch", *overrides]).trials if trial.arm == arm)


def seconds(trial: Trial, rates: Rates = DEFAULTS, count: int = 1) -> float:
    expected = work_seconds([trial] * count, SENTENCES, DIMENSION, ALONE, rates)
    assert expected is not None
    return expected


def test_closed_form_heads_take_a_fit_and_the_evaluation_of_every_sentence(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, "logistic")
    assert seconds(trial) == pytest.approx(DEFAULTS.closed_form_s + SENTENCES * DEFAULTS.closed_form_row_s)
    assert seconds(trial, count=3) == pytest.approx(3 * seconds(trial))


def test_a_perceptron_takes_steps_and_evaluations(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, "mlp", "baselines=[mlp]")
    train, validation, _ = sides(trial, SENTENCES)
    epochs, batch = trial.settings.training.epochs, trial.settings.training.batch
    steps = epochs * -(-train // batch)
    blocks = epochs * -(-validation // EVALUATION_ROWS) + -(-SENTENCES // EVALUATION_ROWS)
    parameters = trial.settings.head.parameters(DIMENSION) or 0
    expected = (
        steps * (DEFAULTS.step_s + DEFAULTS.row_s * batch + DEFAULTS.parameter_s * parameters)
        + (epochs * validation + SENTENCES) * DEFAULTS.row_s
        + FORWARD_SHARE * blocks * DEFAULTS.step_s
        + epochs * DEFAULTS.trial_epoch_s
    )
    assert seconds(trial) == pytest.approx(expected)


def test_a_circuit_adds_its_gates_and_amplitudes(tmp_path: Path) -> None:
    small, large = (trial_of(tmp_path, "r00", f"factors.head.qubits=[{qubits}, 9]", "head.reduction=pca") for qubits in (4, 5))
    rate = DEFAULTS.simulators["torch"]
    free = replace(DEFAULTS, simulators={"torch": replace(rate, gate_s=1e-300, amplitude_s=1e-300)})
    slower = replace(DEFAULTS, simulators={"torch": replace(rate, amplitude_s=2 * rate.amplitude_s)})
    assert seconds(small) > seconds(small, free)
    per_amplitude = [seconds(trial, slower) - seconds(trial) for trial in (small, large)]
    gates = [sum(len(use.circuit.gates) for use in trial.settings.head.circuits()) for trial in (small, large)]
    assert per_amplitude[1] / per_amplitude[0] == pytest.approx(2 * gates[1] / gates[0])


def test_a_learned_factor_multiplies_the_part_and_no_other(tmp_path: Path) -> None:
    quantum, logistic = trial_of(tmp_path), trial_of(tmp_path, "logistic")
    rates = replace(DEFAULTS, factors={part_of(quantum.settings, ALONE): 3.0})
    assert seconds(quantum, rates) == pytest.approx(3 * seconds(quantum))
    assert seconds(logistic, rates) == seconds(logistic)


@pytest.mark.parametrize(
    ("arm", "overrides", "part"),
    [
        ("r00", (), "torch"),
        ("r00", ("simulator=compiled",), "compiled"),
        ("logistic", (), "closed form"),
        ("mlp", ("baselines=[mlp]",), "dense"),
        ("r00", ("sentence_encoder.representation=unfrozen", "baselines=[]"), "unfrozen"),
    ],
)
def test_the_part_that_a_trial_belongs_to(tmp_path: Path, arm: str, overrides: tuple[str, ...], part: str) -> None:
    assert part_of(trial_of(tmp_path, arm, *overrides).settings, ALONE) == part


def test_a_fold_trains_on_the_rest_of_the_drawn_sentences_and_tests_on_none(tmp_path: Path) -> None:
    trial = trial_of(tmp_path)
    train, validation, test = sides(trial, SENTENCES)
    assert (train + validation, test) == (32, SENTENCES - 32)
    folded = trial.model_copy(update={"fold": Fold(repeat=0, index=0, of=4)})
    assert sides(folded, SENTENCES) == (24, 8, 0)


def test_memory_is_that_of_states_and_parameters(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, "r00", "simulator=compiled", "factors.head.qubits=[12, 13]", "head.reduction=none")
    batch, parameters = trial.settings.training.batch, trial.settings.head.parameters(DIMENSION) or 0
    states = sum(STATES_KEPT * use.training_rows * batch * 2**use.circuit.qubits for use in trial.settings.head.circuits())
    numbers = PARAMETER_COPIES * parameters + 2 * batch * DIMENSION
    assert trial_bytes(trial, DIMENSION, ALONE) == 4 * (numbers + states)
    double = trial.model_copy(update={"settings": trial.settings.model_copy(update={"precision": "float64"})})
    assert trial_bytes(double, DIMENSION, ALONE) == 2 * trial_bytes(trial, DIMENSION, ALONE)
    assert trial_bytes(trial_of(tmp_path, "logistic"), DIMENSION, ALONE) == 0


def test_ranks_divide_the_states_and_not_the_parameters(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, "r00", "simulator=sharded", "factors.head.qubits=[16, 17]", "head.reduction=none")
    whole, halves, quarters = (trial_bytes(trial, DIMENSION, RankLayout(shards, shards)) for shards in (1, 2, 4))
    assert whole - halves == pytest.approx(2 * (halves - quarters), rel=1e-6)


def test_tuning_an_encoder_takes_memory_and_time_where_it_is_not_frozen(tmp_path: Path) -> None:
    frozen = trial_of(tmp_path)
    tuned = trial_of(tmp_path, "r00", "sentence_encoder.representation=setfit")
    encoder = inputs_of(frozen.settings).sentence_encoder
    assert tuning_bytes(frozen, encoder) == 0
    assert tuning_bytes(tuned, encoder) > 4 * encoder.weight_bytes
    pairs = trial_of(tmp_path, "r00", "sentence_encoder.representation=setfit", "sentence_encoder.tuning.pairs=10")
    embedding_s = SENTENCES * CHARACTERS / DEFAULTS.characters_per_core_s
    once, twice = (tuning_seconds(trial, SENTENCES, DEFAULTS) - embedding_s for trial in (tuned, pairs))
    assert twice == pytest.approx(2 * once)
