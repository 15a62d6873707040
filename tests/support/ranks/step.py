"""On this many ranks: steps of the paper's circuits or head, with what they sent, kept and took. Prints one JSON line.

mpiexec -n RANKS python -m tests.support.ranks.step RANKS SHARDS [torch-]encoder|second|head QUBITS ROWS STEPS
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.heads.quantum.classifier import QuantumClassifier
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.mpi import ranks
from hadamard.model.settings import Training
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.sharded import open_parts
from hadamard.model.simulators.sharded.exchange import Exchanger
from hadamard.model.simulators.sharded.rank_protocol import all_or_none, dismiss, follow
from hadamard.model.simulators.sharded.simulator import ShardedSimulator
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.model.training.adam import Adam

M_MMAP_THRESHOLD = -3


def reset_peak() -> int:
    """Have Linux forget the peak so far; return what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def highest() -> int:
    """Return the peak since `reset_peak`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def circuit_step(simulator: ShardedSimulator, circuit: Circuit, rows: int) -> Callable[[], None]:
    """Return a step of one circuit: values and all gradients."""
    generator = torch.Generator().manual_seed(1)
    weights = (0.3 * torch.randn(1, circuit.weights, generator=generator)).requires_grad_()
    inputs = torch.randn(1, rows, circuit.inputs, generator=generator).requires_grad_() if circuit.inputs else None
    states = None if circuit.inputs else embeddings(rows)
    return lambda: simulator.expectations(circuit, weights, inputs, states).sum().backward()


def head_step(simulator: ShardedSimulator, head: QuantumHead, rows: int) -> Callable[[], None]:
    """Return a training step of a whole head, optimiser included."""
    given, labels = embeddings(rows), torch.arange(rows)[None] % 2
    classifier = QuantumClassifier([head], [given[0]], simulator)
    start = classifier.initial_parameters([torch.Generator().manual_seed(1)])
    adam = Adam(torch.stack([start, torch.zeros_like(start), torch.zeros_like(start)]), [Training()], 0)

    def step() -> None:
        logits = classifier.logits(adam.parameters, given, [np.random.default_rng(1)])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        adam.step(*torch.autograd.grad(loss, adam.parameters))
        assert adam.parameters.isfinite().all()

    return step


def embeddings(rows: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(1, rows, 384, generator=torch.Generator().manual_seed(2)), dim=-1)


def steps_of(joined: ranks.Ranks, kind: str, head: QuantumHead, rows: int, steps: int) -> list[float]:
    """Take steps on all ranks; return the seconds of each, on rank 0."""
    seconds: list[float] = []
    if not joined.leads:
        follow(joined)
        return seconds
    simulator, ran = open_simulator("sharded", joined), dict(zip(("encoder", "second"), encoder_and_second_module(head), strict=True))
    step = head_step(simulator, head, rows) if kind == "head" else circuit_step(simulator, ran[kind], rows)
    with all_or_none(joined):
        for _ in range(steps):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
    dismiss(joined)
    return seconds


def main() -> None:
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**18)  # what is freed goes back at once: counted is what is held, not what malloc keeps
    count, shards, kind, qubits, rows, steps = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:])
    joined = ranks.join(count, shards)
    torch.set_num_threads(1)
    if kind.startswith("torch-"):  # as on a GPU, or where there was no compiler
        kind, open_parts.is_installed = kind.removeprefix("torch-"), lambda simulator: False
        head = QuantumHead(qubits=qubits, encoder_layers=1, connectivity=1, reuploads=1, layers=0)
    else:
        head = QuantumHead(qubits=qubits, encoder_layers=3, connectivity=2, reuploads=2, layers=2)
    steps_of(joined, kind, head.model_copy(update={"qubits": 9}), rows, 1)  # what libraries keep for themselves is no part of a shard
    before, sent = reset_peak(), Exchanger.sent_bytes
    seconds = steps_of(joined, kind, head, rows, steps)
    told = joined.world.gather((highest() - before, Exchanger.sent_bytes - sent))
    if told is None:
        return
    shard = 4 * rows // joined.groups * 2**qubits // shards
    ran = [circuit for name, circuit in zip(("encoder", "second"), encoder_and_second_module(head), strict=True) if kind in (name, "head")]
    found = {
        "seconds": seconds,
        "sent_bytes": sum(sent for _, sent in told),
        "planned_bytes": 3 * steps * sum(plan_stages(circuit, shards).moved for circuit in ran) * shard * count,
        "shards_held": max(held for held, _ in told) / shard,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
