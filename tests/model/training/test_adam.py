"""Adam for many trials against torch's own, trial by trial."""

from __future__ import annotations

import pytest
import torch

from hadamard.model.settings import Training
from hadamard.model.training.adam import Adam

TRAININGS = [Training(lr=0.1), Training(lr=0.003, weight_decay=0.01), Training(lr=0.03, weight_decay=1.0)]


def targets(dtype: torch.dtype) -> torch.Tensor:
    """A point per trial that its parameters are drawn to, unevenly."""
    return torch.randn(len(TRAININGS), 37, generator=torch.Generator().manual_seed(1)).to(dtype)


def gradients_at(parameters: torch.Tensor, towards: torch.Tensor) -> torch.Tensor:
    return (parameters - towards) ** 3


def ours(trials: list[int], steps: int, dtype: torch.dtype) -> torch.Tensor:
    adam = Adam(torch.zeros(3, len(trials), 37, dtype=dtype), [TRAININGS[trial] for trial in trials], steps=0)
    for _ in range(steps):
        adam.step(gradients_at(adam.parameters.detach(), targets(dtype)[trials]))
    return adam.parameters.detach()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_every_trial_moves_as_by_an_optimiser_of_its_own(dtype: torch.dtype, bound: float) -> None:
    together = ours([0, 1, 2], 200, dtype)
    for trial, training in enumerate(TRAININGS):
        parameters = torch.nn.Parameter(torch.zeros(37, dtype=dtype))
        theirs = torch.optim.Adam([parameters], lr=training.lr, weight_decay=training.weight_decay)
        for _ in range(200):
            parameters.grad = gradients_at(parameters.detach(), targets(dtype)[trial])
            theirs.step()
        torch.testing.assert_close(together[trial], parameters.detach(), atol=bound, rtol=0)


def test_other_trials_change_no_bit() -> None:
    together = ours([0, 1, 2], 50, torch.float32)
    for trial in range(3):
        assert torch.equal(ours([trial], 50, torch.float32)[0], together[trial])


def test_an_infinite_trial_leaves_the_others_alone() -> None:
    adam = Adam(torch.zeros(3, 2, 4), TRAININGS[:2], steps=0)
    adam.step(torch.tensor([[torch.inf] * 4, [1.0] * 4]))
    assert adam.parameters[0].isnan().all()
    assert adam.parameters[1].isfinite().all()
