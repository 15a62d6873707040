"""Heads: parameter counts, merges, reductions, and that the quantum head can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.errors import SettingsError
from model.head_layout import check_head, parameters
from model.heads import MultiLayerPerceptron, QuantumClassifier
from model.settings import MlpHead, QuantumHead
from model.simulators import choose

DIMENSION = 12


def classifier(head: QuantumHead, seed: int = 0, rows: int = 20) -> QuantumClassifier:
    generator = torch.Generator().manual_seed(seed)
    return QuantumClassifier(head, torch.randn(rows, DIMENSION, generator=generator), choose("torch"), generator)


def embeddings(rows: int = 6) -> torch.Tensor:
    return torch.randn(rows, DIMENSION, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize(
    "head",
    [
        QuantumHead(qubits=4),
        QuantumHead(qubits=4, encoders=3, merge="concatenate", connectivity=2),
        QuantumHead(qubits=4, encoders=2, merge="blocks", reuploads=3),
        QuantumHead(qubits=4, share_blocks=True, reuploads=3),
        QuantumHead(qubits=4, reading="B", measured=2),
        QuantumHead(qubits=3, reduction="projection"),
        QuantumHead(qubits=3, reduction="pca", constant=True),
    ],
    ids=["plain", "concatenate", "blocks", "shared", "reading-B", "projection", "pca-constant"],
)
def test_the_layout_counts_what_the_module_trains(head: QuantumHead) -> None:
    module = classifier(head)
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters(head, DIMENSION)
    logits = module(embeddings())
    assert logits.shape == (6, 2)
    logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


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
    encoding = classifier(QuantumHead(qubits=3, reduction=reduction)).encoding  # type: ignore[arg-type]
    states = encoding(embeddings())
    assert states.shape == (6, 8)
    torch.testing.assert_close(states.norm(dim=1), torch.ones(6))


def test_pca_finds_the_directions_that_vary() -> None:
    generator = torch.Generator().manual_seed(3)
    spread = torch.zeros(200, DIMENSION)
    spread[:, [2, 7]] = torch.randn(200, 2, generator=generator) * torch.tensor([5.0, 3.0])
    spread += 0.01 * torch.randn(200, DIMENSION, generator=generator)
    head = QuantumClassifier(QuantumHead(qubits=2, reduction="pca", connectivity=1), spread, choose("torch"), generator)
    strongest = head.encoding.components[:, :2].abs().argmax(dim=0)
    assert strongest.tolist() == [2, 7]


def test_the_quantum_head_learns_a_quadratic_rule() -> None:
    """A loss that stays near ln 2 means a bug: the head can express x'Ax > 0 and must find it."""
    generator = torch.Generator().manual_seed(5)
    vectors = nn.functional.normalize(torch.randn(160, 4, generator=generator), dim=1)
    labels = ((vectors[:, :2] ** 2).sum(dim=1) > (vectors[:, 2:] ** 2).sum(dim=1)).long()
    module = QuantumClassifier(QuantumHead(qubits=2, encoder_layers=2, reuploads=1, layers=1), vectors, choose("torch"), generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(120):
        loss = nn.functional.cross_entropy(module(vectors), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.3
    assert float((module(vectors).argmax(dim=1) == labels).float().mean()) > 0.95


def test_perceptron_without_hidden_layer_is_linear() -> None:
    module = MultiLayerPerceptron(MlpHead(kind="mlp", hidden=0), DIMENSION, torch.Generator().manual_seed(0))
    vectors = embeddings()
    torch.testing.assert_close(module(2 * vectors) - module(vectors), module(vectors) - module(torch.zeros_like(vectors)))
