"""The GPU simulator against the clear one: its kernels run on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators import registry
from hadamard.model.simulators.reference import StateVectorSimulator
from hadamard.model.simulators.triton.simulator import TritonSimulator, fits
from tests.support.circuits import Batch, assert_agree, random_batch, values_and_gradients

triton = pytest.importorskip("triton")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}


def assert_like_the_clear_one(circuit: Circuit, batch: Batch, dtype: torch.dtype, of_states: bool = False) -> None:
    simulator = TritonSimulator()
    ours = values_and_gradients(simulator, circuit, batch.to(simulator.device, dtype), of_states)
    theirs = values_and_gradients(StateVectorSimulator(), circuit, batch, of_states)
    assert ours[0].dtype == dtype
    assert_agree(ours, theirs, *TOLERANCES[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("qubits", [4, 5])
def test_the_papers_circuits(qubits: int, dtype: torch.dtype) -> None:
    encoder = encoder_circuit(qubits, layers=3, connectivity=2)
    assert_like_the_clear_one(encoder, random_batch(encoder, 2, 3, seed=1), dtype)
    second = second_module_circuit(qubits, [0, 0], layers=2, connectivity=2, measured=1)
    assert_like_the_clear_one(second, random_batch(second, 2, 3, seed=2, from_states=False), dtype)


@pytest.mark.parametrize("qubits", [7, 11])
def test_states_larger_than_what_a_warp_holds(qubits: int) -> None:
    circuit = encoder_circuit(qubits, layers=1, connectivity=1)
    assert_like_the_clear_one(circuit, random_batch(circuit, 1, 2, seed=3), torch.float32, of_states=True)


def test_a_batch_that_fills_no_program_evenly() -> None:
    circuit = second_module_circuit(3, [0], layers=1, connectivity=1, measured=3)
    assert_like_the_clear_one(circuit, random_batch(circuit, 3, 23, seed=4), torch.float32, of_states=True)


def test_circuits_without_rotations_inputs_or_states() -> None:
    for circuit in (Circuit(2, (Gate("X", (1,)), Gate("SWAP", (0, 1))), measured=2), encoder_circuit(2, layers=1, connectivity=1)):
        assert_like_the_clear_one(circuit, random_batch(circuit, 2, 1, seed=5, from_states=False), torch.float64)


def test_what_fits() -> None:
    sizes = {14: (True, False), 13: (True, True), 15: (False, False)}
    for qubits, expected in sizes.items():
        circuit = encoder_circuit(qubits, layers=1, connectivity=1)
        assert (fits(circuit, torch.float32), fits(circuit, torch.float64)) == expected
    assert not fits(Circuit(1, (Gate("S", (0,)),), measured=1), torch.float32)


class TestRefusals:
    def test_states_that_do_not_fit(self) -> None:
        circuit = encoder_circuit(15, layers=1, connectivity=1)
        with pytest.raises(SettingsError, match="not of 15 qubits in torch.float32; `simulator: auto` takes one that does"):
            TritonSimulator().expectations(circuit, torch.zeros(1, circuit.weights))

    def test_tensors_that_lie_elsewhere(self) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)
        with pytest.raises(SettingsError, match="needs its tensors on .*, not on meta"):
            TritonSimulator().expectations(circuit, torch.zeros(1, circuit.weights, device="meta"))

    def test_machines_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(triton.knobs.runtime, "interpret", False)
        with pytest.raises(SettingsError, match="simulator triton needs a GPU.*`simulator: auto` chooses one that runs here"):
            TritonSimulator()

    def test_machines_without_triton(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "is_installed", lambda kind: False)
        with pytest.raises(SettingsError, match="triton is missing; pip install triton"):
            registry.open_simulator("triton")


@needs_gpu
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("qubits", [10, 13, 14])
def test_the_papers_head_on_a_gpu(qubits: int, dtype: torch.dtype) -> None:
    circuit = encoder_circuit(qubits, layers=3, connectivity=2)
    if fits(circuit, dtype):
        assert_like_the_clear_one(circuit, random_batch(circuit, 2, 9, seed=7), dtype, of_states=True)


AHEAD = """
import re, subprocess, sys, tempfile, time
from pathlib import Path
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hadamard.model.simulators.triton import sweeps as triton_sweeps

numbers = ("rows", "steps", "measured", "row_stride")
for sweep, choice in ((triton_sweeps.forward, "FROM_ZERO"), (triton_sweeps.adjoint, "OF_STATES")):
    constants = {"NEAR": 5, "FAR": 9, "ROWS": 1, "amplitude_stride": 1, choice: True}
    kinds = {"masks": "*i32", "readout": "*i32", **dict.fromkeys(numbers, "i32"), **dict.fromkeys(constants, "constexpr")}
    signature = {name: kinds.get(name, "*fp32") for name in sweep.arg_names}
    began = time.process_time()
    kernel = triton.compile(
        ASTSource(sweep, signature, constants), target=GPUTarget("cuda", 90, 32), options={"num_warps": 16, "enable_fp_fusion": True}
    )
    print(sweep.__name__, kernel.metadata.shared, time.process_time() - began)
"""


@pytest.mark.slow
def test_fourteen_qubits_compile_for_a_gpu_that_is_not_there() -> None:
    """Nothing runs; but what would run fits the 128 registers of a thread and its share of memory, and does not take long to build."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_ALWAYS_COMPILE": "1"}
    answer = subprocess.run([sys.executable, "-c", AHEAD], env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    for line in answer.stdout.splitlines():
        _, shared_bytes, seconds = line.split()
        assert int(shared_bytes) <= 2**16
        assert float(seconds) < 15
    assert len(answer.stdout.splitlines()) == 2
