"""A trial's random numbers: by seed and epoch alone, and no stream equal to another."""

from __future__ import annotations

import numpy as np
import torch

from hadamard.model.training.random_streams import epoch_order, initial_generator, noise_rng


def test_epoch_orders_are_permutations_that_differ_by_epoch_and_seed() -> None:
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert torch.equal(epoch_order(1, 2, 20), epoch_order(1, 2, 20))


def test_noise_differs_by_seed_and_epoch_and_from_the_order_of_the_epoch() -> None:
    first = [rng.random() for rng in (noise_rng(1, 2), noise_rng(2, 2), noise_rng(1, 3))]
    assert len({*first, np.random.default_rng([1, 2]).random()}) == 4
    assert noise_rng(1, 2).random() == first[0]


def test_initial_parameters_differ_by_seed() -> None:
    first, again, other = (torch.rand(3, generator=initial_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
