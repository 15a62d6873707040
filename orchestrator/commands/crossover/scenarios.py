"""The inputs of the models as a YAML file states them: a QPU, a GPU and a second module, by the name of a scenario."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.settings import Settings
from hadamard.orchestrator.commands.crossover.models import Inputs
from hadamard.orchestrator.study.file import StudyError, StudyFile
from hadamard.orchestrator.study.problems import problems_of
from hadamard.orchestrator.timing.paper_head import second_module

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fidelity = Annotated[float, Field(gt=0, le=1)]
COUNTED_AT = 12
"""Qubits at which gates are counted: from 2 C + 1 qubits up, their numbers are proportional to the qubits."""


class Qpu(Settings):
    """A quantum device."""

    power_w: Positive
    shots: Annotated[int, Field(ge=1)]
    two_qubit_gate_s: Positive
    one_qubit_gate_s: Positive
    shot_overhead_s: NotNegative
    two_qubit_fidelity: Fidelity
    one_qubit_fidelity: Fidelity
    readout_fidelity: Fidelity
    """Of preparing and reading one qubit."""


class Gpu(Settings):
    """A GPU that simulates as fast as its memory lets it."""

    power_w: Positive
    bandwidth_bytes_s: Positive
    memory_bytes: Positive
    amplitude_bytes: Annotated[int, Field(ge=4, le=16)]
    gates_per_pass: Annotated[float, Field(ge=1)]


class SecondModule(Settings):
    """The circuit that would run on the QPU: N blocks of [angle encoding, PQC 1], then PQC 2 (paper.md, "Quantum head")."""

    connectivity: Annotated[int, Field(ge=1, le=5)]
    reuploads: Annotated[int, Field(ge=1)]
    block_layers: Annotated[int, Field(ge=0)]
    last_layers: Annotated[int, Field(ge=0)]

    @functools.cached_property
    def gates(self) -> tuple[float, float]:
        """The gates on two qubits and those on one, for each qubit."""
        circuit = second_module(COUNTED_AT, self.connectivity, (self.block_layers,) * self.reuploads, self.last_layers)
        return gates_per_qubit(circuit)


class Scenario(Settings):
    """All inputs of one crossover."""

    about: str
    """Whose estimate it is, for the reader."""
    qpu: Qpu
    gpu: Gpu
    second_module: SecondModule

    @property
    def inputs(self) -> Inputs:
        """What the models take."""
        two_qubit, one_qubit = self.second_module.gates
        return Inputs(
            qpu_power_w=self.qpu.power_w,
            shots=self.qpu.shots,
            two_qubit_gate_s=self.qpu.two_qubit_gate_s,
            one_qubit_gate_s=self.qpu.one_qubit_gate_s,
            shot_overhead_s=self.qpu.shot_overhead_s,
            two_qubit_gates=two_qubit,
            one_qubit_gates=one_qubit,
            gpu_power_w=self.gpu.power_w,
            bandwidth_bytes_s=self.gpu.bandwidth_bytes_s,
            amplitude_bytes=self.gpu.amplitude_bytes,
            gates_per_pass=self.gpu.gates_per_pass,
        )

    def without_error(self, qubits: float) -> float:
        """Return the probability that no gate of a run fails, nor the measured qubit's preparation or readout."""
        two_qubit, one_qubit = self.second_module.gates
        gates = two_qubit * math.log(self.qpu.two_qubit_fidelity) + one_qubit * math.log(self.qpu.one_qubit_fidelity)
        return self.qpu.readout_fidelity * math.exp(qubits * gates)

    def more_shots(self, qubits: float) -> float:
        """Return how many times the shots give the same error of <Z>, if a run with any error says nothing and so <Z> shrinks."""
        return self.without_error(qubits) ** -2


class File(Settings):
    """A file of scenarios, such as configs/energy/qpu.yaml."""

    scenarios: Annotated[dict[str, Scenario], Field(min_length=1)]


def read_scenarios(path: Path) -> dict[str, Scenario]:
    """Return the scenarios of a file by name, in its order.

    Raises:
        StudyError: The file cannot be read or is not valid; every problem with file, line and field.
    """
    file = StudyFile.read(path)
    content = file.plain()
    try:
        return File.model_validate(content).scenarios
    except ValidationError as error:
        raise StudyError(problems_of(error, File, content)).located(file) from error


def gates_per_qubit(circuit: Circuit) -> tuple[float, float]:
    """Return a circuit's gates on two qubits and on one, divided by its qubits: each CNOT and each RY counts as one, as written."""
    two = sum(len(gate.qubits) == 2 for gate in circuit.gates)
    return two / circuit.qubits, (len(circuit.gates) - two) / circuit.qubits
