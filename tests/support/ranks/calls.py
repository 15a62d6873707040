"""On four ranks, as four groups: calls whose gradient is never asked for, or asked for twice, and a simulator opened again. Prints JSON.

mpiexec -n 4 python -m tests.support.ranks.calls
"""

from __future__ import annotations

import gc
import json

import torch

from hadamard.model.circuits.circuit import second_module_circuit
from hadamard.model.mpi import ranks
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.sharded.rank_protocol import all_or_none, dismiss, follow
from hadamard.model.simulators.sharded.simulator import ShardedSimulator
from tests.support.circuits import random_batch, values_and_gradients


def main() -> None:
    joined = ranks.join(4, 1)
    torch.set_num_threads(1)
    if not joined.leads:
        follow(joined)
        return
    circuit = second_module_circuit(4, [0], 1, 1, measured=1)
    batch = random_batch(circuit, 1, 3, seed=1, from_states=False)  # three rows, so that a group has none
    with all_or_none(joined):
        for _ in range(5):
            simulator = open_simulator("sharded", joined)
            assert isinstance(simulator, ShardedSimulator)
            weights = batch.weights.clone().requires_grad_()
            values = simulator.expectations(circuit, weights, batch.inputs)
            del values, weights
            gc.collect()
        simulator.expectations(circuit, batch.weights, batch.inputs)  # tells of the last one
        kept = len(simulator.player._kept)
        found, expected = (values_and_gradients(one, circuit, batch) for one in (simulator, open_simulator("torch")))
        weights = batch.weights.clone().requires_grad_()
        total = simulator.expectations(circuit, weights, batch.inputs).sum()
        total.backward(retain_graph=True)
        try:
            total.backward()
            twice = "went through"
        except RuntimeError as error:
            twice = str(error)
    dismiss(joined)
    errors = [float((ours - theirs).abs().max()) for ours, theirs in zip(found, expected, strict=True)]
    print(json.dumps({"kept": kept, "error": max(errors), "twice": twice}))


if __name__ == "__main__":
    main()
