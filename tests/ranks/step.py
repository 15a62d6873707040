"""On so many ranks: steps of the paper's circuits, with what they sent, kept and took. Prints one JSON line.

mpiexec -n RANKS python -m tests.ranks.step RANKS SHARDS encoder|second QUBITS ROWS STEPS
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch

from model import ranks
from model.circuit import encoder_circuit, second_module_circuit
from model.simulators.distributed import all_or_none, dismiss, follow
from model.simulators.exchange import Exchanger
from model.simulators.sharded import ShardedSimulator
from model.simulators.stages import plan_stages


def reset_peak() -> int:
    """Have Linux forget the peak so far; return what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def highest() -> int:
    """Return the peak since `reset_peak`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    count, shards, kind, qubits, rows, steps = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])
    joined = ranks.join(int(count), int(shards))
    torch.set_num_threads(1)
    before = reset_peak()
    if not joined.leads:
        follow(joined)
    else:
        circuit = encoder_circuit(qubits, 3, 2) if kind == "encoder" else second_module_circuit(qubits, [0, 0], 2, 2, measured=1)
        simulator = ShardedSimulator(joined)
        generator = torch.Generator().manual_seed(1)
        weights = (0.3 * torch.randn(1, circuit.weights, generator=generator)).requires_grad_()
        states = torch.nn.functional.normalize(torch.randn(1, rows, 384, generator=generator), dim=-1) if kind == "encoder" else None
        inputs = None if states is not None else torch.randn(1, rows, circuit.inputs, generator=generator).requires_grad_()
        seconds = []
        with all_or_none(joined):
            for _ in range(steps):
                begin = time.perf_counter()
                simulator.expectations(circuit, weights, inputs, states).sum().backward()
                seconds.append(time.perf_counter() - begin)
        dismiss(joined)
    mine = {"shards": (highest() - before), "sent": Exchanger.sent_bytes}
    told = joined.world.gather(mine)
    if told is not None:
        plan = plan_stages(circuit, int(shards))
        shard = 4 * rows // joined.groups * 2**qubits // int(shards)
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "sent_bytes": sum(one["sent"] for one in told),
                    "planned_bytes": 3 * steps * plan.moved * shard * int(count),
                    "shards_held": max(one["shards"] for one in told) / shard,
                }
            )
        )


if __name__ == "__main__":
    main()
