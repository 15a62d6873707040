"""One rank's shards of real states on the CPU, taken through the stages of a circuit by the compiled kernels.

The layout of shards, their memory, and the calls of the kernels, a stage at a time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.simulators.compiled import native
from hadamard.model.simulators.compiled.lowering import Rotation
from hadamard.model.simulators.compiled.programs import kernel_program, lane_bits_for
from hadamard.model.simulators.sharded.exchange import Exchanger
from hadamard.model.simulators.sharded.part import Part
from hadamard.model.simulators.sharded.stages import places_of, plan_stages

ALIGNED, APART = 4096, 2048
"""Bytes: a state begins at a page, its cotangent half a page off, or the two would turn each other out of the cache (kernels.cpp)."""


class Memory:
    """Buffers that are used again: fresh ones cost a page fault for every 4 KiB."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> np.ndarray:
        """Return an array whose address is `offset` past a multiple of ALIGNED, its content undefined."""
        size = int(np.prod(shape)) * dtype.itemsize
        buffer = next((one for one in self._free if one.nbytes == size + 2 * ALIGNED), None)
        if buffer is None:
            self._free.clear()  # of another size: another circuit's, or another batch's
            buffer = np.empty(size + 2 * ALIGNED, np.uint8)
        else:
            self._free = [one for one in self._free if one is not buffer]
        first = -buffer.ctypes.data % ALIGNED + offset
        return buffer[first : first + size].view(dtype).reshape(shape)

    def give_back(self, array: np.ndarray) -> None:
        """Have an array's buffer used again."""
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        self._free.append(base)


@dataclass(frozen=True)
class _Layout:
    """A stage's program for the kernels, and how amplitudes and rows lie in a shard: [items, 2**local, side], an item is `side` rows."""

    programs: tuple[native.Program, ...]
    side: int


class CompiledParts:
    """Opens the shards of one rank; complex circuits, which the kernels do not know, are left to torch."""

    def __init__(self, exchanger: Exchanger) -> None:
        self.exchanger, self.memory = exchanger, Memory()

    def __call__(self, circuit: Circuit, weights: np.ndarray, inputs: np.ndarray | None, rows: int) -> Part:
        """Return this rank's part of a circuit on this many rows."""
        if circuit.real:
            return CompiledShards(circuit, self.exchanger, self.memory, weights, inputs, rows)
        import torch  # takes seconds, which real circuits need not wait for

        from hadamard.model.simulators.sharded.torch_shards import TorchShards

        return TorchShards(circuit, self.exchanger, torch.device("cpu"), weights, inputs, rows)


class CompiledShards:
    """This rank's shards of the states of some rows of all trials."""

    def __init__(
        self, circuit: Circuit, exchanger: Exchanger, memory: Memory, weights: np.ndarray, inputs: np.ndarray | None, rows: int
    ) -> None:
        """Take angles; rows share out the vectors' lanes with amplitudes as they do in `compiled`.

        Args:
            circuit: A real one.
            exchanger: To the ranks that hold the other shards.
            memory: Where shards come from.
            weights: [trials, circuit.weights], float32 or float64.
            inputs: [trials, rows, circuit.inputs], or None where the circuit takes none.
            rows: How many, at least one.
        """
        self.circuit, self.exchanger, self.memory = circuit, exchanger, memory
        self.plan = plan_stages(circuit, exchanger.group.size)
        self.weights, self.inputs = np.ascontiguousarray(weights), None if inputs is None else np.ascontiguousarray(inputs)
        self.trials, self.rows, self.dtype = len(weights), rows, weights.dtype
        self.layout = _layout(circuit, self.plan.shards, self.dtype, rows)
        self.items = self.trials * -(-rows // self.layout.side)
        self.shape = (self.items, 2**circuit.qubits // exchanger.group.size, self.layout.side)
        self.state: np.ndarray | None = None

    def forward(self, states: np.ndarray | None, keep: bool) -> np.ndarray:
        """Return this rank's part of the values [trials, rows, measured], whose sum over the group is <Z>.

        Args:
            states: [trials, rows, up to 2**qubits] real amplitudes, those that are left out 0; None: |0...0>.
            keep: Whether the gradient will be asked for.
        """
        self.state = self.memory.take(self.shape, self.dtype, 0)
        self._load(states)
        for program, stage in zip(self.layout.programs, self.plan.stages, strict=True):
            native.advance(
                program, self._single, self.trials, self.rows, self._rank, self.weights.ctypes.data, _address(self.inputs),
                self.state.ctypes.data, 1,
            )  # fmt: skip
            if stage.exchange:
                self.exchanger.swap([self.state], stage.exchange)
        values = np.empty((self.trials, self.rows, self.circuit.measured), self.dtype)
        program = self.layout.programs[-1]
        native.measure(program, self._single, self.trials, self.rows, self._rank, self.state.ctypes.data, values.ctypes.data, 1)
        if not keep:
            self.release()
        return values

    def backward(self, cotangent: np.ndarray, amplitudes: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return this rank's part of the gradients by weights, inputs and the leading initial amplitudes; uses the states up.

        Args:
            cotangent: Of the values, [trials, rows, measured].
            amplitudes: How many of each initial state's are asked for; 0: none.
        """
        assert self.state is not None, "the states are used up"
        cotangent = np.ascontiguousarray(cotangent)
        cotangents = self.memory.take(self.shape, self.dtype, APART)
        program = self.layout.programs[-1]
        native.begin(
            program, self._single, self.trials, self.rows, self._rank, self.state.ctypes.data, cotangents.ctypes.data,
            cotangent.ctypes.data, 1,
        )  # fmt: skip
        of_weights = np.zeros_like(self.weights)
        of_inputs = None if self.inputs is None else np.zeros_like(self.inputs)
        for program, stage in zip(reversed(self.layout.programs), reversed(self.plan.stages), strict=True):
            if stage.exchange:
                self.exchanger.swap([self.state, cotangents], stage.exchange)
            native.retreat(
                program, self._single, self.trials, self.rows, self._rank, self.weights.ctypes.data, _address(self.inputs),
                self.state.ctypes.data, cotangents.ctypes.data, of_weights.ctypes.data, _address(of_inputs), 1,
            )  # fmt: skip
        of_states = self._unload(cotangents, amplitudes) if amplitudes else None
        self.memory.give_back(cotangents)
        self.release()
        return of_weights, of_inputs, of_states

    def release(self) -> None:
        """Give the states' memory back."""
        if self.state is not None:
            self.memory.give_back(self.state)
            self.state = None

    @property
    def _single(self) -> bool:
        return self.dtype == np.float32

    @property
    def _rank(self) -> int:
        return int(self.exchanger.group.rank)

    def _load(self, states: np.ndarray | None) -> None:
        assert self.state is not None
        self.state[...] = 0
        leading = np.ones((self.trials, self.rows, 1), self.dtype) if states is None else states
        index, place = places_of(self.plan.stages[0], leading.shape[2], self.plan.shards, self._rank)
        by_trial = self.state.reshape(self.trials, -1, *self.shape[1:])
        for item in range(by_trial.shape[1]):
            rows = slice(item * self.layout.side, min((item + 1) * self.layout.side, self.rows))
            by_trial[:, item, place, : rows.stop - rows.start] = leading[:, rows][:, :, index].swapaxes(1, 2)

    def _unload(self, cotangents: np.ndarray, amplitudes: int) -> np.ndarray:
        of_states = np.zeros((self.trials, self.rows, amplitudes), self.dtype)
        index, place = places_of(self.plan.stages[0], amplitudes, self.plan.shards, self._rank)
        by_trial = cotangents.reshape(self.trials, -1, *self.shape[1:])
        for item in range(by_trial.shape[1]):
            rows = slice(item * self.layout.side, min((item + 1) * self.layout.side, self.rows))
            of_states[:, rows, index] = by_trial[:, item][:, place, : rows.stop - rows.start].swapaxes(1, 2)
        return of_states


@functools.lru_cache(maxsize=64)
def _layout(circuit: Circuit, shards: int, dtype: np.dtype[Any], rows: int) -> _Layout:
    plan = plan_stages(circuit, shards)
    local = circuit.qubits - (plan.shards.bit_length() - 1)
    lane_bits = lane_bits_for(local, dtype.itemsize, rows)
    programs = []
    for stage in plan.stages:
        bits = {wire: circuit.qubits - 1 - place for place, wire in enumerate(stage.order)}
        rotations = [item for item in stage.items if isinstance(item, Rotation)]
        programs.append(kernel_program(rotations, bits, local, lane_bits, plan.measured, circuit.weights, circuit.inputs))
    return _Layout(tuple(programs), (native.vector_bytes // dtype.itemsize) >> lane_bits)


def _address(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data
