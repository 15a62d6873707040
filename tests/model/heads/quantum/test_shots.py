"""Shots: the distribution of sampled expectations, and that both of their gradients are right on average."""

from __future__ import annotations

import pytest
import torch

from hadamard.model.circuits.circuit import Circuit, second_module_circuit
from hadamard.model.heads.quantum.noise import noisy_expectations
from hadamard.model.heads.quantum.settings import Noise
from hadamard.model.heads.quantum.shots import sample_shots
from hadamard.model.simulators.registry import open_simulator
from tests.support.circuits import random_batch, values_and_gradients
from tests.support.noisy import NoisySimulator, noise_rngs

CIRCUIT = second_module_circuit(3, [0, 0], layers=1, connectivity=2, measured=2)
SHARED = second_module_circuit(3, [0, 0], layers=1, connectivity=1, measured=1, share_blocks=True)


@pytest.mark.parametrize("trajectories", [1, 3, 10])
def test_mean_and_variance_are_those_of_independent_shots(trajectories: int) -> None:
    shots, repeats = 10, 40_000
    exact = torch.tensor([-1.0, -0.6, 0.0, 0.2, 0.95, 1.0], dtype=torch.float64)
    drawn = sample_shots(exact.expand(1, repeats, trajectories, 6), shots, noise_rngs(1))[0]
    variance = (1 - exact**2) / shots
    assert ((drawn.mean(dim=0) - exact).abs() <= 5 * (variance / repeats) ** 0.5).all()
    torch.testing.assert_close(drawn.var(dim=0), variance, rtol=0.05, atol=1e-12)


def test_one_shot_is_a_sign_and_all_shots_are_used_once() -> None:
    assert set(sample_shots(torch.zeros(1, 50, 1, 1), 1, noise_rngs(1)).flatten().tolist()) == {-1.0, 1.0}
    up_then_down = torch.tensor([1.0, 1.0, -1.0]).view(1, 1, 3, 1)  # the first trajectory takes the odd shots
    assert sample_shots(up_then_down, 5, noise_rngs(1)).item() == pytest.approx((2 + 2 - 1) / 5)


def test_each_measured_qubit_has_shots_of_its_own() -> None:
    pairs = sample_shots(torch.zeros(1, 20_000, 1, 2), 1, noise_rngs(1))[0]
    assert abs(pairs.prod(dim=1).mean()) < 5 / 20_000**0.5


def test_a_trial_that_is_not_a_number_stays_so_and_leaves_the_others_alone() -> None:
    exact = torch.zeros(2, 1, 1, 1)
    expected = sample_shots(exact, 100, noise_rngs(2))
    exact[0] = torch.nan
    drawn = sample_shots(exact, 100, noise_rngs(2))
    assert drawn[0].isnan()
    assert torch.equal(drawn[1], expected[1])


def test_the_same_generators_draw_the_same_and_go_on() -> None:
    exact, draws = torch.zeros(1, 20, 1, 1), noise_rngs(1)
    first, second = sample_shots(exact, 100, draws), sample_shots(exact, 100, draws)
    assert torch.equal(first, sample_shots(exact, 100, noise_rngs(1)))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("circuit", [CIRCUIT, SHARED], ids=["two measured", "shared weights"])
def test_parameter_shift_of_exact_expectations_is_the_exact_gradient(circuit: Circuit) -> None:
    batch = random_batch(circuit, 2, 3, seed=1, from_states=False)
    shifted, clear = (
        values_and_gradients(simulator, circuit, batch)
        for simulator in (NoisySimulator(Noise(gradient="parameter-shift")), open_simulator("torch"))
    )
    for ours, exact in zip(shifted, clear, strict=True):
        torch.testing.assert_close(ours, exact, atol=1e-10, rtol=0)


def test_exact_backward_samples_the_values_and_not_the_gradient() -> None:
    batch = random_batch(CIRCUIT, 2, 3, seed=1, from_states=False)
    shots, exact = (
        values_and_gradients(simulator, CIRCUIT, batch) for simulator in (NoisySimulator(Noise(shots=100)), open_simulator("torch"))
    )
    assert not torch.equal(shots[0], exact[0])
    zeros = (shots[0] + 1) / 2 * 100
    torch.testing.assert_close(zeros, zeros.round(), atol=1e-10, rtol=0)
    for ours, theirs in zip(shots[1:], exact[1:], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("readout_error", [0.0, 0.1])
def test_parameter_shift_with_shots_is_unbiased_with_the_variance_of_its_shots(readout_error: float) -> None:
    """400 trials of the same angles tell the standard error of their mean."""
    shots, trials = 20, 400
    one = random_batch(SHARED, 1, 1, seed=2, from_states=False)
    assert one.inputs is not None
    many, repeated = one.weights.repeat(trials, 1).requires_grad_(), one.inputs.repeat(trials, 1, 1).requires_grad_()
    noise = Noise(shots=shots, readout_error=readout_error, gradient="parameter-shift")
    noisy_expectations(open_simulator("torch"), SHARED, many, repeated, noise, noise_rngs(trials)).sum().backward()  # type: ignore[no-untyped-call]
    exact_weights, exact_inputs = one.weights.clone().requires_grad_(), one.inputs.clone().requires_grad_()
    exact = open_simulator("torch").expectations(SHARED, exact_weights, exact_inputs)
    ((1 - 2 * readout_error) * exact).sum().backward()  # type: ignore[no-untyped-call]
    for drawn, truth in ((many.grad, exact_weights.grad), (repeated.grad, exact_inputs.grad)):
        assert drawn is not None
        assert truth is not None
        error = drawn.std(dim=0) / trials**0.5
        assert ((drawn.mean(dim=0) - truth[0]).abs() <= 5 * error).all()
        # at most two gates share an angle, each with two means of shots, halved: 2 x 2 x (1/4) (1 - <Z>^2) / shots
        assert drawn.var(dim=0).max() <= 1.3 / shots
