"""Encoders of the quantum head: outputs by definition, what is trained of each, and that a trial keeps its own."""

from __future__ import annotations

import math

import pytest
import torch

from hadamard.model.heads.quantum.encoders import ComponentEncoders, EncoderCircuits, Encoders, LinearMaps, build_encoders
from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.training.random_streams import initial_generator

DIMENSION, ROWS = 8, 5
SETTINGS = {
    "circuit": QuantumHead(qubits=3, encoders=2),
    "projection": QuantumHead(qubits=2, encoders=2, reduction="projection"),
    "untrained": QuantumHead(qubits=3, encoders=2, encoder="untrained"),
    "linear": QuantumHead(qubits=3, encoders=2, encoder="linear"),
    "pca": QuantumHead(qubits=3, encoder="pca"),
}


def embeddings(trials: int = 3, seed: int = 5) -> torch.Tensor:
    return torch.randn(trials, ROWS, DIMENSION, generator=torch.Generator().manual_seed(seed))


def started(settings: QuantumHead, trials: int = 3) -> tuple[Encoders, list[torch.Tensor]]:
    """Return the encoders of some trials, and their initial parts, [trials, size] each."""
    encoders = build_encoders(settings, [embeddings(1, seed)[0] for seed in range(trials)], open_simulator("torch"))
    rows = [encoders.initial_parameters(trial, 0.4, initial_generator(trial)) for trial in range(trials)]
    return encoders, [torch.stack(parts) for parts in zip(*rows, strict=True)]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_outputs_have_a_number_per_encoder_and_qubit_and_a_trial_keeps_its_own(settings: QuantumHead) -> None:
    encoders, parts = started(settings)
    assert [part.shape[1] for part in parts] == encoders.sizes
    outputs = encoders.outputs(parts, embeddings())
    assert outputs.shape == (3, settings.encoders, ROWS, settings.qubits)
    assert outputs.abs().max() <= 1 + 1e-6
    assert len({tuple(trial.flatten().tolist()) for trial in outputs}) == 3
    selected = encoders.select([2, 0]).outputs([part[[2, 0]] for part in parts], embeddings()[[2, 0]])
    torch.testing.assert_close(selected, outputs[[2, 0]])


def test_settings_name_their_encoders() -> None:
    kinds = [type(started(settings, 1)[0]) for settings in SETTINGS.values()]
    assert kinds == [EncoderCircuits, EncoderCircuits, EncoderCircuits, LinearMaps, ComponentEncoders]


def test_circuits_compute_expectations_of_the_embedding_as_a_state() -> None:
    encoders, (angles,) = started(SETTINGS["circuit"], 1)
    assert isinstance(encoders, EncoderCircuits)
    states = torch.nn.functional.normalize(embeddings(1)[0], dim=1)
    for encoder, weights in enumerate(angles.view(2, 1, -1)):
        expected = open_simulator("torch").expectations(encoders.circuit, weights, states=states[None])
        torch.testing.assert_close(encoders.outputs([angles], embeddings(1))[0, encoder], expected[0])


def test_angles_that_are_not_trained_come_from_the_whole_circle_and_are_no_parameters() -> None:
    _, (angles,) = started(SETTINGS["circuit"])
    assert 0.3 < angles.abs().max() <= 0.4
    untrained, parts = started(SETTINGS["untrained"])
    assert (parts, untrained.sizes) == ([], [])
    assert isinstance(untrained, EncoderCircuits)
    fixed = torch.stack(list(untrained.fixed_angles.values()))
    assert 3.0 < fixed.abs().max() <= math.pi
    expected = EncoderCircuits(SETTINGS["circuit"], list(embeddings()), open_simulator("torch")).outputs([fixed], embeddings())
    torch.testing.assert_close(untrained.outputs([], embeddings()), expected)


def test_linear_maps_are_those_of_the_unit_embedding() -> None:
    encoders, (maps,) = started(SETTINGS["linear"])
    unit = torch.nn.functional.normalize(embeddings(), dim=2)
    for trial in range(3):
        for encoder in range(2):
            expected = torch.tanh(unit[trial] @ maps[trial].view(2, DIMENSION, 3)[encoder])
            torch.testing.assert_close(encoders.outputs([maps], embeddings())[trial, encoder], expected)


def test_components_beyond_those_of_the_training_set_are_clipped() -> None:
    encoders, parts = started(SETTINGS["pca"], 1)
    outputs = encoders.outputs(parts, 100 * embeddings(1))
    assert set(outputs.abs().flatten().tolist()) == {1.0}
