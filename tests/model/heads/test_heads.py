"""Heads: parameter counts, merges, reductions, and that the quantum head can learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from hadamard.model.errors import SettingsError
from hadamard.model.heads.base import HeadBatch
from hadamard.model.heads.mlp import MlpHead, MultiLayerPerceptron
from hadamard.model.heads.quadratic import QuadraticFourier, QuadraticHead
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import Noise, QuantumHead
from hadamard.model.settings import Training
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.training.adam import Adam
from hadamard.model.training.batch_trainer import train_epoch
from hadamard.model.training.evaluation import EmbeddingInputs, evaluate
from hadamard.model.training.random_streams import epoch_order
from hadamard.model.trial import TrialSettings

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


def rngs(trials: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng(trial) for trial in range(trials)]


class Started:
    """Heads of some trials with their initial parameters, trial k's drawn with seed k."""

    def __init__(self, head: HeadBatch, trials: list[int]) -> None:
        self.head, self.trials = head, len(trials)
        self.parameters = head.initial_parameters([torch.Generator().manual_seed(trial) for trial in trials]).requires_grad_()

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.head.logits(self.parameters, embeddings, rngs(self.trials))


def classifiers(head: QuantumHead, trials: list[int]) -> Started:
    """Heads of some trials, each with a training set of its own."""
    training_sets = [normal(20, DIMENSION, seed=100 + trial) for trial in trials]
    scaled = [head.model_copy(update={"angle_scale": 1.0 + trial, "initial_angles": 0.1 * (trial + 1)}) for trial in trials]
    return Started(QuantumClassifier(scaled, training_sets, open_simulator("torch")), trials)


def classifier(head: QuantumHead) -> Started:
    return classifiers(head, [0])


def embeddings(rows: int = 6) -> torch.Tensor:
    return normal(1, rows, DIMENSION)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_layout_counts_what_the_head_trains(head: QuantumHead) -> None:
    started = classifier(head)
    assert started.parameters.shape == (1, head.parameters(DIMENSION))
    logits = started(embeddings())
    assert logits.shape == (1, 6, 2)
    (gradient,) = torch.autograd.grad(logits.sum(), started.parameters)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_trial_has_its_own_numbers_beside_any_others(head: QuantumHead) -> None:
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
    some = together.head.select([2, 0])
    torch.testing.assert_close(some.logits(together.parameters[[2, 0]], rows[[2, 0]], rngs(2)), logits[[2, 0]], atol=2e-6, rtol=0)


def test_initial_angles_and_scales_are_a_trials_own() -> None:
    together = classifiers(QuantumHead(qubits=4), [0, 1, 2])
    angles = together.parameters[:, : together.head.sizes[0]].abs().amax(dim=1)  # type: ignore[attr-defined]
    assert all(0.08 * (trial + 1) < angle <= 0.1 * (trial + 1) for trial, angle in enumerate(angles.tolist()))
    same = together.parameters[:1].expand(3, -1)
    logits = together.head.logits(same, embeddings().expand(3, -1, -1), rngs(3))
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
        QuantumHead(qubits=3).check(DIMENSION, 435)
    with pytest.raises(SettingsError, match="13 with its constant"):
        QuantumHead(qubits=3, constant=True).check(DIMENSION, 435)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (QuantumHead(qubits=4, connectivity=4), "head.connectivity = 4 needs more qubits"),
        (QuantumHead(qubits=4, measured=5), "head.measured = 5, but what is measured has 4"),
        (QuantumHead(qubits=4, encoders=3, merge="blocks", reuploads=2), "head.encoders = 3 meet head.reuploads = 2"),
    ],
)
def test_settings_that_cannot_go_together(head: QuantumHead, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        head.check(DIMENSION, 435)


def test_what_needs_the_gradient_of_the_state_is_refused_where_a_simulator_has_none() -> None:
    settings = TrialSettings(head=QuantumHead(qubits=3, reduction="projection"), simulator="lightning.qubit")
    with pytest.raises(SettingsError, match=r"head.reduction = projection needs the gradient of the state, which lightning.qubit"):
        settings.check(DIMENSION, 435)
    settings.model_copy(update={"simulator": "default.qubit"}).check(DIMENSION, 435)


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
    head = QuantumClassifier([QuantumHead(qubits=2, encoder_layers=2, reuploads=1, layers=1)], [vectors], open_simulator("torch"))
    start = head.initial_parameters([generator])
    adam = Adam(torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)]), [Training(lr=0.05)], steps=0)
    inputs, rows = EmbeddingInputs(vectors, labels, torch.float32), torch.arange(160)[None]
    for _ in range(120):
        (score,) = train_epoch(head, adam, inputs, rows, 160, rngs())
    assert score.loss is not None
    assert score.loss < 0.3
    assert evaluate(head, adam.parameters, inputs, rows, rngs())[0].accuracy > 0.95


@pytest.mark.parametrize("hidden", [0, 5])
def test_perceptrons_are_those_of_torch(hidden: int) -> None:
    started = Started(MultiLayerPerceptron(MlpHead(kind="mlp", hidden=hidden), [normal(3, DIMENSION)]), [0, 1])
    assert started.parameters.shape == (2, MlpHead(kind="mlp", hidden=hidden).parameters(DIMENSION))
    rows = normal(2, 6, DIMENSION)
    for trial, (logits, row) in enumerate(zip(started(rows), started.parameters, strict=True)):
        sizes = [DIMENSION, hidden, 2] if hidden else [DIMENSION, 2]
        layers = [nn.Linear(*both) for both in itertools.pairwise(sizes)]
        theirs = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
        nn.utils.vector_to_parameters(row.detach(), theirs.parameters())
        torch.testing.assert_close(logits, theirs(rows[trial]))


def test_the_draws_are_the_same_in_double_precision() -> None:
    single = QuantumClassifier([QuantumHead(qubits=4)], [normal(20, DIMENSION)], open_simulator("torch"))
    double = QuantumClassifier([QuantumHead(qubits=4)], [normal(20, DIMENSION).double()], open_simulator("torch"))
    start = double.initial_parameters([torch.Generator().manual_seed(0)])
    assert start.dtype == torch.float64
    assert torch.equal(start.float(), single.initial_parameters([torch.Generator().manual_seed(0)]))
    torch.testing.assert_close(
        double.logits(start, embeddings().double(), rngs()).float(), single.logits(start.float(), embeddings(), rngs()), atol=2e-6, rtol=0
    )


CONTROLS = {
    "untrained": QuantumHead(qubits=4, encoder="untrained", encoders=2),
    "linear": QuantumHead(qubits=4, encoder="linear", encoders=2, merge="concatenate"),
    "pca": QuantumHead(qubits=4, encoder="pca"),
    "encoder-only": QuantumHead(qubits=4, second_module=False, encoders=2),
    "encoder-only-concatenate": QuantumHead(qubits=4, second_module=False, encoders=2, merge="concatenate"),
    "linear-only": QuantumHead(qubits=4, encoder="linear", second_module=False),
    "no-reupload": QuantumHead(qubits=4, reuploads=0, measured=2),
    "no-reupload-concatenate": QuantumHead(qubits=4, reuploads=0, encoders=2, merge="concatenate"),
    "no-cnot": QuantumHead(qubits=4, entangling=False),
}


@pytest.mark.parametrize("head", CONTROLS.values(), ids=CONTROLS)
def test_controls_train_what_the_layout_counts_and_are_the_same_beside_others(head: QuantumHead) -> None:
    started = classifier(head)
    assert started.parameters.shape == (1, head.parameters(DIMENSION))
    (gradient,) = torch.autograd.grad(started(embeddings()).sum(), started.parameters)
    assert gradient.isfinite().all()
    several = classifiers(head, [0, 1, 2])
    rows = normal(3, 6, DIMENSION)
    together = several(rows)
    alone = several.head.select([2]).logits(several.parameters[2:], rows[2:], rngs())
    torch.testing.assert_close(together[2:], alone)


def test_without_cnots_the_logits_know_one_qubit_alone() -> None:
    """The measured qubit's angles come from encoder output 0, which then is the weight of one half of the amplitudes."""
    started = classifier(QuantumHead(qubits=4, entangling=False, initial_angles=1.0))
    rows = embeddings()
    signs = torch.ones(DIMENSION)
    signs[[1, 9]] = -1  # changes every product of amplitudes but their squares
    torch.testing.assert_close(started(rows), started(rows * signs), rtol=0, atol=1e-5)
    entangled = classifier(QuantumHead(qubits=4, initial_angles=1.0))
    assert (entangled(rows) - entangled(rows * signs)).abs().max() > 1e-3


def test_without_reuploads_the_second_pqc_goes_on_from_the_encoders_state() -> None:
    head = QuantumHead(qubits=4, reuploads=0, encoder_layers=2, layers=1)
    from hadamard.model.circuits.circuit import Circuit, encoder_circuit, pqc
    from hadamard.model.heads.quantum.settings import encoder_and_second_module

    first, second = encoder_and_second_module(head)
    assert second.gates == ()
    own = list(encoder_circuit(4, 2, 1).gates)
    assert first == Circuit(4, (*own, *pqc(4, 1, 1, first=first.weights - 8)), 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reuploads": 0, "encoder": "linear"}, "Use head.encoder: circuit, or at least 1 re-upload"),
        ({"encoder": "pca", "encoders": 2}, "use head.encoders: 1"),
        ({"second_module": False, "encoders": 2, "merge": "blocks"}, "Use mean or concatenate"),
        ({"second_module": False, "noise": Noise(shots=10)}, "head.noise applies to a separate second module"),
        ({"noise": Noise(two_qubit_error=0.3, scale=4.0)}, "use a smaller scale"),
    ],
)
def test_ablations_that_contradict_other_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        QuantumHead(**{"qubits": 4, **settings}).check(DIMENSION, 435)  # type: ignore[arg-type]


@pytest.mark.parametrize("components", [0, 3])
def test_a_perceptron_reads_principal_components_of_its_own_training_side(components: int) -> None:
    training_sets = [normal(20, DIMENSION, seed=seed) for seed in (1, 2)]
    head = MultiLayerPerceptron(MlpHead(kind="mlp", hidden=5, components=components), training_sets)
    started = Started(head, [0, 1])
    assert started.parameters.shape[1] == MlpHead(kind="mlp", hidden=5, components=components).parameters(DIMENSION)
    if components:
        seen = head.principal.of(torch.stack(training_sets))  # type: ignore[union-attr]
        assert seen.abs().amax(dim=(1, 2)).tolist() == pytest.approx([1.0, 1.0])
        assert seen.mean(dim=1).abs().max() < 1e-5
        products = seen[0].T @ seen[0]
        assert (products - products.diag().diag()).abs().max() < 1e-4 * products.abs().max()


@pytest.mark.parametrize("frequencies", [0, 2])
def test_quadratic_forms_are_squares_and_their_series_cosines_and_sines(frequencies: int) -> None:
    settings = QuadraticHead(kind="quadratic", components=5, forms=3, rank=2, frequencies=frequencies)
    training_sets = [normal(20, DIMENSION, seed=seed) for seed in (1, 2)]
    head = QuadraticFourier(settings, training_sets)
    started = Started(head, [0, 1])
    assert started.parameters.shape[1] == settings.parameters(DIMENSION)
    rows = normal(2, 4, DIMENSION)
    logits = started(rows).detach()
    for trial in range(2):
        forms, linear, bias = torch.split(started.parameters[trial].detach(), head.sizes)
        for row in range(4):
            y = head.principal.of(rows)[trial, row]
            values = [sum((-1) ** r * float(forms.view(3, 2, 5)[k, r] @ y) ** 2 for r in range(2)) for k in range(3)]
            if frequencies:
                angles = [np.pi * n * value for n in (1, 2) for value in values]
                values = [*np.cos(angles), *np.sin(angles)]
            wanted = linear.view(2, -1) @ torch.tensor(values, dtype=torch.float32) + bias
            torch.testing.assert_close(logits[trial, row], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_quantum_head_fits_a_target_that_it_can_represent() -> None:
    """A teacher of the same layout labels sentences, half of them, which it is surest of, and students from other angles learn to."""
    layout = QuantumHead(qubits=6, encoder_layers=2, connectivity=2, reuploads=2, layers=1)
    drawn = nn.functional.normalize(normal(870, 64, seed=1), dim=1)
    teacher = QuantumClassifier([layout.model_copy(update={"initial_angles": 0.5})], [drawn], open_simulator("compiled"))
    logits = teacher.logits(teacher.initial_parameters([torch.Generator().manual_seed(11)]), drawn[None], rngs())[0].detach()
    margins = logits[:, 1] - logits[:, 0]
    margins -= margins.median()
    kept = margins.abs().argsort()[-435:]
    inputs = EmbeddingInputs(drawn[kept], (margins[kept] > 0).long(), torch.float32)
    students = QuantumClassifier([layout] * 4, [inputs.embeddings] * 4, open_simulator("compiled"))
    start = students.initial_parameters([torch.Generator().manual_seed(seed) for seed in range(4)])
    adam = Adam(torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)]), [Training(lr=0.01)] * 4, 0)
    for epoch in range(1, 121):
        order = torch.stack([epoch_order(seed, epoch, 435) for seed in range(4)])
        train_epoch(students, adam, inputs, order, 16, rngs(4))
    assert min(score.accuracy for score in evaluate(students, adam.parameters.detach(), inputs, order, rngs(4))) > 0.97
