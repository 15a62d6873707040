"""Finite shots: expectations estimated from sampled measurements, and gradients from such estimates by the parameter-shift rule.

Errors of gates and readout are in noise.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.autograd.function import FunctionCtx, once_differentiable

from hadamard.model.heads.base import Rngs

Estimates = Callable[[torch.Tensor], torch.Tensor]
"""A function from the angles of every rotation, [trials, rows, rotations], to <Z>, [trials, rows, measured]."""


def sample_shots(exact: torch.Tensor, shots: int, rngs: Rngs) -> torch.Tensor:
    """Return the mean of `shots` measured signs for each expectation, with the gradient of the exact mean.

    The count of ones among independent shots is binomial, so it is drawn as one number. Each measured qubit gets its own shots, as if
    measured in separate runs: every <Z> has the distribution it would have on a device, but no two of them are correlated.

    Args:
        exact: [trials, rows, trajectories, measured] in [-1, 1], or NaN, which stays NaN; the shots are spread evenly over the
            trajectories, of which there are no more than shots.
        shots: At least 1.
        rngs: One per trial, so that a trial's numbers do not depend on the other trials.

    Returns:
        [trials, rows, measured].
    """
    trajectories = exact.shape[2]
    shots_each = shots // trajectories + (np.arange(trajectories) < shots % trajectories)
    ones = [
        rng.binomial(shots_each[:, None], np.clip((1 - np.nan_to_num(trial)) / 2, 0, 1)).sum(axis=1)
        for rng, trial in zip(rngs, exact.detach().double().cpu().numpy(), strict=True)
    ]
    sampled = 1 - 2 * torch.from_numpy(np.stack(ones)).double() / shots
    mean = (exact * torch.from_numpy(shots_each[:, None] / shots).to(exact)).sum(dim=2)
    return sampled.to(exact) + (mean - mean.detach())


def parameter_shift(estimates: Estimates, angles: torch.Tensor) -> torch.Tensor:
    """Return estimates(angles) with the gradient (f(t + pi/2) - f(t - pi/2)) / 2 of each angle t (Schuld et al., 2019, arXiv 1811.11184).

    All shifted angles are rows of one call. Exact where every angle belongs to one RX, RY or RZ: an angle that several gates share has to
    be passed once for each, and its gradient is then the sum.

    Args:
        estimates: Returns <Z>, exact or sampled; called again for the gradient, which so has samples of its own.
        angles: [trials, rows, rotations] in radians.
    """
    return _ParameterShift.apply(angles, estimates)  # type: ignore[no-any-return, no-untyped-call]


class _ParameterShift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, angles: torch.Tensor, estimates: Estimates) -> torch.Tensor:
        ctx.save_for_backward(angles)
        ctx.estimates = estimates  # type: ignore[attr-defined]
        return estimates(angles)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, cotangent: torch.Tensor) -> tuple[torch.Tensor, None]:
        (angles,) = ctx.saved_tensors  # type: ignore[attr-defined]
        trials, rows, rotations = angles.shape
        shifts = math.pi / 2 * torch.eye(rotations, dtype=angles.dtype, device=angles.device)
        shifted = angles[:, :, None] + torch.cat([shifts, -shifts])
        plus, minus = ctx.estimates(shifted.flatten(1, 2)).view(trials, rows, 2, rotations, -1).unbind(2)  # type: ignore[attr-defined]
        return ((plus - minus) / 2 @ cotangent[..., None]).squeeze(-1), None
