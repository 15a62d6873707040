"""Principal components against numpy's singular vectors, trial by trial, and initial parameters' distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hadamard.model.heads.initialisation import normal, uniform
from hadamard.model.heads.principal_components import PrincipalComponents, fit_each, principal_directions


def embeddings(seed: int, rows: int = 30) -> torch.Tensor:
    spread = torch.linspace(3, 0.1, 8)
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed)) * spread + 0.5


def test_directions_are_numpys_with_the_sign_of_their_largest_entry() -> None:
    directions = principal_directions(embeddings(1), 3).numpy()
    _, _, theirs = np.linalg.svd(embeddings(1).double().numpy(), full_matrices=False)
    for column, row in zip(directions.T, theirs, strict=False):
        np.testing.assert_allclose(np.abs(column), np.abs(row), atol=1e-6)
        assert column[np.abs(column).argmax()] > 0
    assert principal_directions(embeddings(1, rows=2), 5).shape == (8, 2), "no more than there are sentences"


@pytest.mark.parametrize("centred", [True, False])
def test_components_are_scaled_to_the_largest_of_the_training_set(centred: bool) -> None:
    train = [embeddings(1), embeddings(2)]
    components = PrincipalComponents(train, 3, centred)
    values = components.of(torch.stack(train))
    assert values.shape == (2, 30, 3)
    assert values.abs().amax(dim=(1, 2)).tolist() == pytest.approx([1.0, 1.0])
    assert bool(values.mean(dim=1).abs().max() < 1e-5) is centred
    torch.testing.assert_close(components.select([1]).of(train[0][None]), components.of(torch.stack([train[0]] * 2))[1:])


def test_trials_of_one_tensor_share_a_fit() -> None:
    fitted = []

    def fit(tensor: torch.Tensor) -> torch.Tensor:
        fitted.append(tensor)
        return tensor.sum(dim=0)

    first, second = embeddings(1), embeddings(2)
    values = fit_each([first, second, first], fit)
    assert len(fitted) == 2
    torch.testing.assert_close(values, torch.stack([first.sum(dim=0), second.sum(dim=0), first.sum(dim=0)]))


def test_initial_parameters_have_their_bound_or_variance_and_continue_a_generator() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = uniform(20_000, 0.3, generator), uniform(20_000, 0.3, generator)
    assert not torch.equal(first, second)
    assert 0.299 < first.max() <= 0.3
    assert -0.3 <= first.min() < -0.299
    assert first.mean().abs() < 0.01
    drawn = normal(20_000, generator)
    assert drawn.dtype == first.dtype == torch.float32
    assert drawn.std().item() == pytest.approx(1.0, abs=0.02)
