"""The random numbers of a trial's training, as functions of its seed and epoch alone: a resumed trial continues with the same ones."""

from __future__ import annotations

import numpy as np
import torch

NOISE_STREAM = 1
"""Tells the numbers of a head's noise from the order of sentences, which has the same seed and epoch."""


def initial_generator(seed: int) -> torch.Generator:
    """Return the generator of a trial's initial parameters."""
    return torch.Generator().manual_seed(seed)


def epoch_order(seed: int, epoch: int, sentences: int) -> torch.Tensor:
    """Return the order of an epoch's sentences, a permutation [sentences]."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(sentences))


def noise_rng(seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of a head's noise and shots in one epoch."""
    return np.random.default_rng([seed, epoch, NOISE_STREAM])
