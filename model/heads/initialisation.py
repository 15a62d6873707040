"""Random initial parameters: the same numbers for the same generator, in any company and precision.

Owns the distributions. Does not own which parameter starts with which.
"""

from __future__ import annotations

from hadamard.model.lazy import torch


def uniform(size: int, bound: float, generator: torch.Generator) -> torch.Tensor:
    """Draw numbers [size] uniform in +-bound."""
    return (torch.rand(size, generator=generator, dtype=torch.float32) * 2 - 1) * bound


def normal(size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw numbers [size] from the standard normal distribution."""
    return torch.randn(size, generator=generator, dtype=torch.float32)
