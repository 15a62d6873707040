"""Inference of our simulators beside lightning.qubit on its own terms, for the table of docs/crossover.md.

`python -m benchmarks.inference [QUBITS [LIMIT_S]]` writes `runs/energy/measured.json`, which `hadamard energy --from` reads. Lightning is
given tapes, without QNodes, since `hadamard energy` measures it as studies call it, with PennyLane's own Python around each batch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pennylane as qml
from pennylane.devices import ExecutionConfig

from benchmarks.peers.with_lightning import tape, weight_operations, with_inputs
from hadamard.model.files.atomic import write_atomically
from hadamard.orchestrator.commands.crossover.inference import SIMULATOR, Passes
from hadamard.orchestrator.commands.crossover.measured import measure_all
from hadamard.orchestrator.commands.crossover.verb import LIMIT_S, Request, sizes_of
from hadamard.orchestrator.timing.comparison import Contestant
from hadamard.orchestrator.timing.options import say
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, Array, Case

CONTESTANTS = (
    Contestant("compiled", SIMULATOR, ("compiled",)),
    Contestant("fused", SIMULATOR, ("fused",)),
    Contestant("lightning.qubit", "benchmarks.inference:by_lightning", ("lightning.qubit",)),
)
ALONE = "compiled"


def by_lightning(case: Case, name: str) -> Passes:
    """Return the passes of a Lightning device: tapes given straight to it, the operations of the weights serving all rows."""
    device = qml.device(name, wires=case.encoder.qubits)
    how = device.setup_execution_config(ExecutionConfig())
    preparations = [qml.StatePrep(amplitudes, wires=range(case.encoder.qubits), validate_norm=False) for amplitudes in case.states]

    def encode() -> Array:
        operations = weight_operations(case.encoder, case.encoder_weights)
        return ANGLE_SCALE * np.array(device.execute([tape(case.encoder, operations, [state]) for state in preparations], how))

    def classify(inputs: Array) -> Array:
        operations = weight_operations(case.second, case.second_weights)
        tapes = [tape(case.second, with_inputs(case.second, operations, row), []) for row in inputs]
        return np.array(device.execute(tapes, how)).reshape(-1)

    inputs = encode()
    return Passes(lambda: classify(encode()), lambda: classify(inputs))


def main(qubits: str | None = None, limit_s: str | None = None) -> None:
    """Measure and save."""
    measured = measure_all(CONTESTANTS, ALONE, sizes_of(Request(qubits)), float(limit_s or LIMIT_S), say)
    file = Path("runs/energy/measured.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, measured.model_dump_json(indent=1) + "\n")
    print(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
