"""The matrices of a plan's blocks as differentiable functions of weights and inputs.

These are the small tensors between angles and states, left to autograd.
"""

from __future__ import annotations

import functools
from itertools import groupby

import numpy as np
import torch

from hadamard.model.circuits.circuit import Angle, Circuit
from hadamard.model.circuits.gates import embed, terms
from hadamard.model.simulators.fused.blocks import Block, Chain, Plan


class BlockMatrices:
    """The matrices of all blocks of a plan, its constants on one device and in one precision."""

    def __init__(self, circuit: Circuit, plan: Plan, dtype: torch.dtype, device: torch.device) -> None:
        """Lay out the factors of all chains.

        Args:
            circuit: What the plan is of.
            plan: Its blocks are what matrices are made for.
            dtype: Of the matrices; real for a real circuit only.
            device: Where angles are.
        """
        blocks = sorted(enumerate(step for step in plan.steps if isinstance(step, Block)), key=lambda pair: _kind(pair[1]))
        self.count = len(blocks)
        self.groups = [_Group([*group], dtype, device) for _, group in groupby(blocks, key=lambda pair: _kind(pair[1]))]

    def __call__(self, weights: torch.Tensor, inputs: torch.Tensor | None) -> list[torch.Tensor]:
        """Return each block's matrix on the qubits it finds in the state, an isometry where some of its qubits are fresh.

        Args:
            weights: [trials, weights] in radians.
            inputs: [trials, rows, inputs] in radians.

        Returns:
            For each block in the order of the plan [trials, d, c], and where it is of rows [trials * rows, d, c].
        """
        of_weights = _terms_of(weights)
        of_inputs = None if inputs is None else _terms_of(inputs.flatten(0, 1))
        matrices: dict[int, torch.Tensor] = {}
        for group in self.groups:
            matrices.update(zip(group.numbers, group(of_weights, of_inputs), strict=True))
        return [matrices[number] for number in range(self.count)]


def _kind(block: Block) -> tuple[bool, int, int, int]:
    return block.of_rows, block.fresh, len(block.chains), len(block.chains[0].qubits)


class _Group:
    """Blocks of one kind, whose matrices are made together: factors by angle, their products, Kronecker products of these."""

    def __init__(self, blocks: list[tuple[int, Block]], dtype: torch.dtype, device: torch.device) -> None:
        self.numbers = [number for number, _ in blocks]
        self.of_rows, fresh, chains, width = _kind(blocks[0][1])
        self.side, self.columns = 2**width, 2**width >> min(fresh, width)  # of several chains all are fresh, or none
        factors = [_factors(chain) for _, block in blocks for chain in block.chains]
        length = _even_length(max(map(len, factors)))
        self.shape = (len(blocks), chains, length)
        one = np.stack([np.eye(self.side), np.zeros((self.side, self.side)), np.zeros((self.side, self.side))])
        padded = [factor for chain in factors for factor in chain + [(one, None)] * (length - len(chain))]
        tables = torch.from_numpy(np.stack([table for table, _ in padded]))
        # Cosines and sines are real, and so are their products with the tables: a complex number is two columns.
        tables = torch.view_as_real(tables).flatten(2) if dtype.is_complex else tables.real.flatten(2)
        self.tables, self.dtype = tables.to(device, dtype.to_real()), dtype
        angles = [angle for _, angle in padded]
        # Of the weights only those that these blocks take are spread over rows.
        shared = sorted({angle.column for angle in angles if angle is not None and angle.of == "weights"})
        found = {Angle("weights", column): place for place, column in enumerate(shared)}
        places = [len(shared) if angle is None else found.get(angle, len(shared) + 1 + angle.column) for angle in angles]
        self.shared, self.places = (
            torch.tensor(numbers, dtype=torch.int64, device=device) for numbers in ([1 + c for c in shared], places)
        )

    def __call__(self, of_weights: torch.Tensor, of_inputs: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return the blocks' matrices from what `_terms_of` makes of the angles."""
        parts = of_weights.index_select(1, self.shared), of_weights[:, :1]
        if self.of_rows:
            assert of_inputs is not None, "the circuit takes inputs"
            parts = parts[0].repeat_interleave(of_inputs.shape[2] // of_weights.shape[2], dim=2), of_inputs
        coefficients = torch.cat(parts, dim=1).index_select(1, self.places)
        factors = torch.bmm(coefficients.permute(1, 2, 0), self.tables)
        if self.dtype.is_complex:
            factors = torch.view_as_complex(factors.view(*factors.shape[:2], -1, 2))
        chains = _product(factors.view(*self.shape, -1, self.side, self.side))
        if self.columns < self.side:
            chains = chains[..., : self.columns]
        return functools.reduce(_kronecker, chains.unbind(1)).unbind(0)


def _terms_of(angles: torch.Tensor) -> torch.Tensor:
    """Return what the three terms of gates are multiplied by, [3, 1 + angles, n], for angles [n, angles] and before them the angle 0."""
    half = torch.nn.functional.pad(angles.t() / 2, (0, 0, 1, 0))
    return torch.stack((torch.ones_like(half), torch.cos(half), torch.sin(half)))


def _factors(chain: Chain) -> list[tuple[np.ndarray, Angle | None]]:
    """Return the terms of the chain's rotations on all its qubits, fixed gates multiplied into them, and the angle of each."""
    factors: list[tuple[np.ndarray, Angle | None]] = []
    fixed = np.eye(2 ** len(chain.qubits), dtype=complex)
    for gate in chain.gates:
        matrices = embed(terms(gate), gate.qubits, chain.qubits)
        if gate.angle is None:
            fixed = matrices[0] @ fixed
        else:
            factors.append((matrices @ fixed, gate.angle))
            fixed = np.eye(len(fixed), dtype=complex)
    if not factors:
        return [(np.stack([fixed, 0 * fixed, 0 * fixed]), None)]
    last, angle = factors[-1]
    factors[-1] = (fixed @ last, angle)
    return factors


def _even_length(length: int) -> int:
    """Return the next length that halves down to at most 3, so that products are taken of all factors in pairs."""
    halvings = max(0, (length - 1).bit_length() - 2)
    return -(-length >> halvings) << halvings


def _product(factors: torch.Tensor) -> torch.Tensor:
    """Return the products over the third axis, the first factor the rightmost."""
    while factors.shape[2] % 2 == 0:
        first, second = factors.view(*factors.shape[:2], -1, 2, *factors.shape[3:]).unbind(3)
        factors = second @ first
    return functools.reduce(lambda product, factor: factor @ product, factors.unbind(2))


def _kronecker(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the Kronecker products of matrices [blocks, n, rows, columns], as outer products whose gradient is a product too."""
    outer = left.flatten(2).unsqueeze(3) @ right.flatten(2).unsqueeze(2)
    blocks, n, *sides = *left.shape, *right.shape[2:]
    return outer.view(blocks, n, *sides).transpose(3, 4).reshape(blocks, n, sides[0] * sides[2], sides[1] * sides[3])
