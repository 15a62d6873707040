"""Training steps of the paper's head: the case, our simulators' numbers, and timing in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from hadamard.model.circuits.circuit import encoder_circuit, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.lazy import load
from hadamard.model.simulators.base import SimulatorKind
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.timing.options import names_in, sizes_in
from hadamard.orchestrator.timing.paper_head import in_parts, least_bytes, paper_head
from hadamard.orchestrator.timing.simulators import FACTORY, REFERENCE_FACTORY, contestant, prepare_reference, usable_simulators, why_absent
from hadamard.orchestrator.timing.steps import Answer, StepRequest, time_step


def answer(factory: str, qubits: int, rows: int, *arguments: str) -> Answer:
    return Answer(*(np.asarray(part, dtype=np.float64) for part in load(factory)(paper_head(qubits, rows), *arguments)()))


def test_the_case_is_the_head_of_the_settings_where_these_can_say_it() -> None:
    case = paper_head(4, 2)
    assert case.encoder == encoder_circuit(4, 3, 2)
    shallow = second_module_circuit(4, [0, 0], 1, 2, measured=1)
    assert case.second.gates[: len(shallow.gates)] == shallow.gates  # PQC 2 begins with what one layer has
    assert case.second.weights == shallow.weights + 2 * 4
    np.testing.assert_allclose(np.linalg.norm(case.states, axis=1), 1)


def test_memory_counts_the_row_that_the_reference_keeps_after_every_gate() -> None:
    assert least_bytes(18, 32) < 2**33 < least_bytes(20, 32) < 24e9 < least_bytes(21, 1)


def test_parts_of_the_batch_give_what_the_whole_gives() -> None:
    case = paper_head(3, 5)
    whole, parts = prepare_reference(case)(), in_parts(case, 2, prepare_reference)()
    for of_whole, of_parts in zip(whole, parts, strict=True):
        np.testing.assert_allclose(np.asarray(of_whole), of_parts, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # PennyLane warns of other packages' versions
@pytest.mark.parametrize("kind", usable_simulators(), ids=lambda kind: kind.name)
def test_every_simulator_of_the_registry_agrees_with_the_reference(kind: SimulatorKind) -> None:
    try:
        value, gradient = answer(FACTORY, 4, 6, kind.name).errors(answer(REFERENCE_FACTORY, 4, 6))
    except SettingsError as error:  # only opening it tells
        pytest.skip(str(error))
    assert value < 2e-6
    assert gradient < 2e-5


def test_a_simulator_that_cannot_be_opened_says_why() -> None:
    assert contestant(SIMULATORS["torch"]).absent is None
    assert contestant(SIMULATORS["sharded"]).absent == "shares its states among MPI ranks"
    missing = SimulatorKind(name="toy", factory="toy:Toy", needs="no_such_module", fix="pip install toy")
    assert why_absent(missing) == "no_such_module is missing; pip install toy"


@pytest.mark.slow
def test_a_step_is_timed_in_its_own_process() -> None:
    measured = time_step(StepRequest(factory=FACTORY, arguments=("torch",), qubits=3, rows=4, threads=1, limit_s=30))
    assert not isinstance(measured, str), measured
    numbers, timing = measured
    assert numbers.errors(answer(REFERENCE_FACTORY, 3, 4)) < (1e-6, 1e-5)
    assert 0 < timing.cpu_s < 1
    assert timing.steps >= 3
    assert timing.extra_bytes is not None
    assert 0 <= timing.extra_bytes < 2**26


def test_a_step_ends_at_its_limit_and_a_failure_is_told() -> None:
    assert time_step(StepRequest(factory=REFERENCE_FACTORY, qubits=12, rows=64, threads=1, limit_s=0.1)) == "more than 0.1 s"
    failed = time_step(StepRequest(factory=REFERENCE_FACTORY, qubits=2, rows=4, threads=1, limit_s=5))  # rings of distance 2 on 2 qubits
    assert isinstance(failed, str)
    assert failed.startswith("failed: ValueError: CNOT acts on 2 different qubits")


def test_options_are_read_or_refused() -> None:
    assert sizes_in("14, 6,6") == [6, 14]
    assert names_in(" a, ,b") == ["a", "b"]
    for wrong, message in (("2", "need at least 3 qubits"), ("6,x", "'x' is no number"), ("", "no number of qubits")):
        with pytest.raises(SettingsError, match=message):
            sizes_in(wrong)
