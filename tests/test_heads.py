"""Heads: parameter counts, merges, reductions, and that the quantum head can learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from model.adam import Adam
from model.dense_heads import MultiLayerPerceptron
from model.errors import SettingsError
from model.evaluation import Embedded, evaluate
from model.head_layout import check_head, parameters
from model.heads import Head, QuantumClassifier
from model.reduction import AmplitudeEncoding
from model.settings import MlpHead, QuantumHead, Training
from model.simulators import choose
from model.team import train_epoch

DIMENSION = 12


HEADS = {
    "plain": QuantumHead(qubits=4),
    "concatenate": QuantumHead(qubits=4, encoders=3, merge="concatenate", connectivity=2),
    "mean": QuantumHead(qubits=4, encoders=3),
    "blocks": QuantumHead(qubits=4, encoders=2, merge="blocks", reuploads=3),
    "shared": QuantumHead(qubits=4, share_blocks=True, reuploads=3),
    "reading-B": QuantumHead(qubits=4, reading="B", measured=2),
    "projection": QuantumHead(qubits=3, reduction="projection"),
    "pca-constant": QuantumHead(qubits=3, reduction="pca", constant=True),
}


def normal(*shape: int, seed: int = 9) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draws(trials: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng(trial) for trial in range(trials)]


class Started:
    """A team's heads with their initial parameters, trial k's drawn by seed k."""

    def __init__(self, head: Head, trials: list[int]) -> None:
        self.head, self.trials = head, len(trials)
        self.parameters = head.start([torch.Generator().manual_seed(trial) for trial in trials]).requires_grad_()

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.head.logits(self.parameters, embeddings, draws(self.trials))


def classifiers(head: QuantumHead, trials: list[int]) -> Started:
    """Heads of some trials, each with a training side of its own."""
    sides = [normal(20, DIMENSION, seed=100 + trial) for trial in trials]
    scaled = [head.model_copy(update={"angle_scale": 1.0 + trial, "initial_angles": 0.1 * (trial + 1)}) for trial in trials]
    return Started(QuantumClassifier(scaled, sides, choose("torch")), trials)


def classifier(head: QuantumHead) -> Started:
    return classifiers(head, [0])


def embeddings(rows: int = 6) -> torch.Tensor:
    return normal(1, rows, DIMENSION)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_layout_counts_what_the_head_trains(head: QuantumHead) -> None:
    started = classifier(head)
    assert started.parameters.shape == (1, parameters(head, DIMENSION))
    logits = started(embeddings())
    assert logits.shape == (1, 6, 2)
    (gradient,) = torch.autograd.grad(logits.sum(), started.parameters)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_trial_has_its_own_numbers_in_any_company(head: QuantumHead) -> None:
    """Initial parameters to the bit; logits and gradients within rounding, since the simulator's products are of other sizes."""
    together, rows = classifiers(head, [0, 1, 2]), normal(3, 7, DIMENSION)
    logits = together(rows)
    (gradient,) = torch.autograd.grad((logits * normal(3, 7, 2)).sum(), together.parameters)
    for trial in range(3):
        alone = classifiers(head, [trial])
        assert torch.equal(alone.parameters[0], together.parameters[trial])
        own = alone(rows[trial : trial + 1])
        (own_gradient,) = torch.autograd.grad((own * normal(3, 7, 2)[trial]).sum(), alone.parameters)
        torch.testing.assert_close(own[0], logits[trial], atol=2e-6, rtol=0)
        torch.testing.assert_close(own_gradient[0], gradient[trial], atol=1e-5, rtol=0)
    some = together.head.only([2, 0])
    torch.testing.assert_close(some.logits(together.parameters[[2, 0]], rows[[2, 0]], draws(2)), logits[[2, 0]], atol=2e-6, rtol=0)


def test_initial_angles_and_scales_are_a_trials_own() -> None:
    together = classifiers(QuantumHead(qubits=4), [0, 1, 2])
    angles = together.parameters[:, : together.head.sizes[0]].abs().amax(dim=1)  # type: ignore[attr-defined]
    assert all(0.08 * (trial + 1) < angle <= 0.1 * (trial + 1) for trial, angle in enumerate(angles.tolist()))
    same = together.parameters[:1].expand(3, -1)
    logits = together.head.logits(same, embeddings().expand(3, -1, -1), draws(3))
    assert not torch.allclose(logits[0], logits[1])


def test_amplitude_encoding_makes_the_head_even_and_a_constant_does_not() -> None:
    vectors = embeddings()
    even = classifier(QuantumHead(qubits=4))
    torch.testing.assert_close(even(vectors), even(-vectors))
    odd = classifier(QuantumHead(qubits=4, constant=True))
    assert (odd(vectors) - odd(-vectors)).abs().max() > 1e-4


def test_merges_differ_only_where_they_should() -> None:
    one = QuantumHead(qubits=4, encoders=1, merge="mean")
    for merge in ("concatenate", "blocks"):
        other = QuantumHead(qubits=4, encoders=1, merge=merge)  # type: ignore[arg-type]
        torch.testing.assert_close(classifier(one)(embeddings()), classifier(other)(embeddings()))


def test_too_few_qubits_without_a_named_reduction_are_refused() -> None:
    with pytest.raises(
        SettingsError,
        match=r"head\.qubits = 3 holds 8 amplitudes, but the embedding has 12.*at least 4 qubits.*pca, truncate or projection",
    ):
        check_head(QuantumHead(qubits=3), DIMENSION, "torch")
    with pytest.raises(SettingsError, match="13 with its constant"):
        check_head(QuantumHead(qubits=3, constant=True), DIMENSION, "torch")


@pytest.mark.parametrize(
    ("head", "simulator", "expected"),
    [
        (QuantumHead(qubits=4, connectivity=4), "torch", "head.connectivity = 4 needs more qubits"),
        (QuantumHead(qubits=4, measured=5), "torch", "head.measured = 5, but the second module has 4"),
        (QuantumHead(qubits=4, encoders=3, merge="blocks", reuploads=2), "torch", "head.encoders = 3 meet head.reuploads = 2"),
        (QuantumHead(qubits=3, reduction="projection"), "lightning.qubit", "needs the gradient of the state"),
    ],
)
def test_settings_that_cannot_go_together(head: QuantumHead, simulator: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        check_head(head, DIMENSION, simulator)


@pytest.mark.parametrize("reduction", ["pca", "truncate", "projection"])
def test_reductions_give_unit_vectors(reduction: str) -> None:
    encoding = AmplitudeEncoding(QuantumHead(qubits=3, reduction=reduction), [normal(20, DIMENSION)])  # type: ignore[arg-type]
    states = encoding.states(embeddings(), normal(1, DIMENSION * 8) if encoding.projection else None)
    assert states.shape == (1, 6, 8)
    torch.testing.assert_close(states.norm(dim=2), torch.ones(1, 6))


def test_pca_finds_the_directions_that_vary() -> None:
    generator = torch.Generator().manual_seed(3)
    spread = torch.zeros(200, DIMENSION)
    spread[:, [2, 7]] = torch.randn(200, 2, generator=generator) * torch.tensor([5.0, 3.0])
    spread += 0.01 * torch.randn(200, DIMENSION, generator=generator)
    encoding = AmplitudeEncoding(QuantumHead(qubits=2, reduction="pca"), [spread, spread.flip(1), spread])
    assert encoding.components is not None
    strongest = encoding.components[:, :, :2].abs().argmax(dim=1)
    assert strongest.tolist() == [[2, 7], [DIMENSION - 3, DIMENSION - 8], [2, 7]], "each trial has those of its own split"


def test_the_quantum_head_learns_a_quadratic_rule() -> None:
    """A loss that stays near ln 2 means a bug: the head can express x'Ax > 0 and must find it."""
    generator = torch.Generator().manual_seed(5)
    vectors = nn.functional.normalize(torch.randn(160, 4, generator=generator), dim=1)
    labels = ((vectors[:, :2] ** 2).sum(dim=1) > (vectors[:, 2:] ** 2).sum(dim=1)).long()
    head = QuantumClassifier([QuantumHead(qubits=2, encoder_layers=2, reuploads=1, layers=1)], [vectors], choose("torch"))
    start = head.start([generator])
    adam = Adam(torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)]), [Training(lr=0.05)], steps=0)
    corpus, rows = Embedded(vectors, labels, torch.float32), torch.arange(160)[None]
    for _ in range(120):
        (score,) = train_epoch(head, adam, corpus, rows, 160, draws())
    assert score.loss is not None
    assert score.loss < 0.3
    assert evaluate(head, adam.parameters, corpus, rows, draws())[0].accuracy > 0.95


@pytest.mark.parametrize("hidden", [0, 5])
def test_perceptrons_are_those_of_torch(hidden: int) -> None:
    started = Started(MultiLayerPerceptron(MlpHead(kind="mlp", hidden=hidden), [normal(3, DIMENSION)]), [0, 1])
    assert started.parameters.shape == (2, parameters(MlpHead(kind="mlp", hidden=hidden), DIMENSION))
    rows = normal(2, 6, DIMENSION)
    for trial, (logits, row) in enumerate(zip(started(rows), started.parameters, strict=True)):
        sizes = [DIMENSION, hidden, 2] if hidden else [DIMENSION, 2]
        layers = [nn.Linear(*both) for both in itertools.pairwise(sizes)]
        theirs = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
        nn.utils.vector_to_parameters(row.detach(), theirs.parameters())
        torch.testing.assert_close(logits, theirs(rows[trial]))


def test_the_draws_are_the_same_in_double_precision() -> None:
    single = QuantumClassifier([QuantumHead(qubits=4)], [normal(20, DIMENSION)], choose("torch"))
    double = QuantumClassifier([QuantumHead(qubits=4)], [normal(20, DIMENSION).double()], choose("torch"))
    start = double.start([torch.Generator().manual_seed(0)])
    assert start.dtype == torch.float64
    assert torch.equal(start.float(), single.start([torch.Generator().manual_seed(0)]))
    torch.testing.assert_close(
        double.logits(start, embeddings().double(), draws()).float(), single.logits(start.float(), embeddings(), draws()), atol=2e-6, rtol=0
    )
