"""Distributions of random initial parameters. They are drawn in float32, so that they are the same numbers in any precision."""

from __future__ import annotations

from hadamard.model.lazy import torch


def uniform(size: int, bound: float, generator: torch.Generator) -> torch.Tensor:
    """Draw numbers [size] uniformly in +-bound."""
    return (torch.rand(size, generator=generator, dtype=torch.float32) * 2 - 1) * bound


def normal(size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw numbers [size] from the standard normal distribution."""
    return torch.randn(size, generator=generator, dtype=torch.float32)
