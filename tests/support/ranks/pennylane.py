"""Two ranks, each with a PennyLane device of its own in the place of a shared one: how do they compare with torch? Prints a JSON line.

mpiexec -n 2 python -m tests.support.ranks.pennylane
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pennylane as qml
import torch

from hadamard.model.circuits.circuit import second_module_circuit
from hadamard.model.mpi import ranks
from hadamard.model.simulators.pennylane import mpi_checks
from hadamard.model.simulators.pennylane.device import PennyLaneSimulator
from hadamard.model.simulators.pennylane.mpi_parts import PennyLaneParts
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.sharded.part import Backward, Forward
from hadamard.model.simulators.sharded.rank_protocol import RankSimulator
from hadamard.orchestrator.commands.doctor import two_ranks
from tests.support.circuits import random_batch, values_and_gradients


def doctor(joined: ranks.Ranks) -> str:
    """Return what the doctor's ranks say of a device that was built with MPI, if it were lightning.qubit."""
    real = qml.device

    def device(name: str, **arguments: Any) -> qml.devices.Device:
        return real("lightning.qubit", wires=arguments["wires"])

    qml.device, mpi_checks.built_with_mpi = device, lambda name: True
    return two_ranks._simulator(joined, "lightning.kokkos")


def main() -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    joined = ranks.join(2, 2)
    simulator = PennyLaneSimulator("lightning.qubit")
    circuit = second_module_circuit(4, [0, 0], layers=1, connectivity=1, measured=2)
    batch = random_batch(circuit, 2, 3, seed=3, from_states=False)
    assert batch.inputs is not None
    player = RankSimulator(joined, PennyLaneParts(simulator, joined))
    weights, inputs = batch.weights.numpy(), batch.inputs.numpy()
    values = player.forward(Forward(0, circuit, True, weights, inputs, None, 3, ()))
    cotangent = np.cos(np.arange(12.0)).reshape(2, 3, 2)
    gradients = player.backward(Backward(0, cotangent, circuit.weights, circuit.inputs, 0))
    own = PennyLaneParts(simulator, joined)(circuit, weights, inputs, 3).forward(None, keep=False)
    alone = simulator.expectations(circuit, batch.weights, batch.inputs)
    of_rank_1 = joined.world.gather((float(np.abs(own).max()), alone.tolist()))
    of_doctor = doctor(joined)
    if not joined.leads:
        return
    expected = [tensor.numpy() for tensor in values_and_gradients(open_simulator("torch"), circuit, batch)]
    errors = [float(np.abs(ours - theirs).max()) for ours, theirs in zip([*values, *gradients[:2]], expected, strict=True)]
    found = {"together": [joined.world.size, joined.on_a_node], "values": errors[0], "gradients": max(errors[1:]), "doctor": of_doctor}
    print(json.dumps({**found, "forward_of_rank_1": of_rank_1[1][0], "rank_1_alone": of_rank_1[1][1]}))


if __name__ == "__main__":
    main()
