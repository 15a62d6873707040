"""Finite shots: expectations as a device would estimate them from measured bits, and gradients from such estimates alone.

Owns sampling and the parameter-shift rule. Does not own what is measured, nor errors of gates and readout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.autograd.function import FunctionCtx, once_differentiable

Estimates = Callable[[torch.Tensor], torch.Tensor]
"""From the angles of every rotation, [trials, rows, rotations], to <Z>, [trials, rows, measured]."""


def sampled(exact: torch.Tensor, shots: int, generators: Sequence[np.random.Generator]) -> torch.Tensor:
    """Return the mean of `shots` measured signs for each expectation, with the gradient of the exact mean.

    The count of ones among independent shots is binomial, so it is drawn as one number. Each measured qubit gets shots of its own, as
    if measured in separate runs: every <Z> has the distribution it would have on a device, but no two of them are correlated.

    Args:
        exact: [trials, rows, trajectories, measured] in [-1, 1]; the shots are spread evenly over the trajectories, which are no more
            than there are shots. What is not a number stays so.
        shots: How many, at least 1.
        generators: One per trial, so that a trial draws the same alone and in company.

    Returns:
        [trials, rows, measured].
    """
    trajectories = exact.shape[2]
    share = shots // trajectories + (np.arange(trajectories) < shots % trajectories)
    ones = [
        generator.binomial(share[:, None], np.clip((1 - np.nan_to_num(trial)) / 2, 0, 1)).sum(axis=1)
        for generator, trial in zip(generators, exact.detach().double().cpu().numpy(), strict=True)
    ]
    drawn = 1 - 2 * torch.from_numpy(np.stack(ones)).double() / shots
    mean = (exact * torch.from_numpy(share[:, None] / shots).to(exact)).sum(dim=2)
    return drawn.to(exact) + (mean - mean.detach())


def parameter_shift(estimates: Estimates, angles: torch.Tensor) -> torch.Tensor:
    """Return estimates(angles) with the gradient (f(t + pi/2) - f(t - pi/2)) / 2 of each angle t (Schuld et al., 2019, arXiv 1811.11184).

    All shifted angles are rows of one call. Exact where every angle is that of one RX, RY or RZ: one that several gates share has to
    be given once for each, and its gradient is then the sum.

    Args:
        estimates: Gives <Z>, exact or sampled; called again for the gradient, so that the samples behind it are its own.
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
