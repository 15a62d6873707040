"""On this many ranks: the sharded simulator against simulators of one process. Prints one JSON line of what rank 0 found.

mpiexec -n RANKS python -m tests.support.ranks.agree RANKS SHARDS LARGEST
"""

from __future__ import annotations

import json
import math
import sys

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, second_module_circuit
from hadamard.model.mpi import ranks
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.sharded.rank_protocol import all_or_none, dismiss, follow
from hadamard.model.simulators.sharded.simulator import ShardedSimulator
from tests.support.circuits import ALL_GATES, ALL_REAL, PAPER_GATES, Batch, random_batch, random_circuits, values_and_gradients

ROWS = 3
Errors = dict[str, float]


def compare(sharded: ShardedSimulator, oracle: str, circuit: Circuit, batch: Batch, worst: Errors, of_states: bool) -> None:
    """Raise the largest errors found so far, of values and of gradients, in both precisions."""
    expected = values_and_gradients(open_simulator(oracle), circuit, batch, of_states)
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        found = values_and_gradients(sharded, circuit, batch.to(dtype), of_states)
        for what, pairs in (("values", [(found[0], expected[0])]), ("gradients", list(zip(found[1:], expected[1:], strict=True)))):
            error = max((float((ours - theirs).abs().max()) for ours, theirs in pairs if ours.numel()), default=0.0)
            key = f"{what} {name}"
            worst[key] = max(worst[key], error if math.isfinite(error) else math.inf)


def random_ones(sharded: ShardedSimulator, qubits: tuple[int, int], examples: int, worst: Errors) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        for names, oracle in ((PAPER_GATES, "compiled"), (ALL_REAL, "compiled"), (ALL_GATES, "fused")):
            circuit = data.draw(random_circuits(names, qubits=qubits, gates=40))
            compare(sharded, oracle, circuit, random_batch(circuit, 2, ROWS, seed=1), worst, of_states=True)

    check()


def papers(sharded: ShardedSimulator, largest: int, worst: Errors) -> None:
    for qubits in [qubits for qubits in (6, 10, 14, 17, 20) if qubits <= largest]:
        for circuit in (encoder_circuit(qubits, 3, 2), second_module_circuit(qubits, [0, 0], 2, 2, measured=1)):
            batch = random_batch(circuit, 1, ROWS, seed=2, from_states=not circuit.inputs)
            compare(sharded, "compiled", circuit, batch, worst, of_states=False)


def main() -> None:
    count, shards, largest = map(int, sys.argv[1:])
    joined = ranks.join(count, shards)
    torch.set_num_threads(1)
    if not joined.leads:
        follow(joined)
        return
    worst = dict.fromkeys(("values float64", "gradients float64", "values float32", "gradients float32"), 0.0)
    sharded = open_simulator("sharded", joined)
    assert isinstance(sharded, ShardedSimulator)
    with all_or_none(joined):
        random_ones(sharded, (5, 8), 12, worst)
        random_ones(sharded, (9, 13), 4, worst)
        random_ones(sharded, (largest - 3, largest), 2, worst)
        papers(sharded, largest, worst)
    dismiss(joined)
    print(json.dumps(worst))


if __name__ == "__main__":
    main()
