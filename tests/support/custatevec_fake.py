"""cuStateVec's batched matrices in NumPy, called as cuquantum-python's bindings are: with addresses, which here are the CPU's.

What the library refuses is refused, so that arguments which it would not take fail the tests.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

COMPLEX = {4: np.complex64, 5: np.complex128}
COMPUTE = {4: 1 << 2, 5: 1 << 4}


def at(address: int, shape: tuple[int, ...], dtype: type[Any]) -> np.ndarray:
    """Return what lies at an address, as an array that shares its memory."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)


class FakeBindings:
    """As much of `cuquantum.bindings.custatevec` as `hadamard.model.simulators.custatevec.library.Bindings` names."""

    def __init__(self) -> None:
        self.handler: tuple[Callable[..., Any], Callable[..., Any], str] | None = None
        self.calls = 0

    def create(self) -> int:
        return 7

    def set_stream(self, handle: int, stream_id: int) -> None:
        raise AssertionError("states on the CPU have no stream")

    def set_device_mem_handler(self, handle: int, handler: tuple[Callable[..., Any], Callable[..., Any], str]) -> None:
        assert handle == 7
        assert len(handler[2]) <= 64
        self.handler = handler

    def apply_matrix_batched(
        self,
        handle: int,
        batched_sv: int,
        sv_data_type: int,
        n_index_bits: int,
        n_svs: int,
        sv_stride: int,
        map_type: int,
        matrix_indices: int,
        matrices: int,
        matrix_data_type: int,
        layout: int,
        adjoint: int,
        n_matrices: int,
        targets: Sequence[int],
        n_targets: int,
        controls: Sequence[int],
        control_bit_values: Sequence[int],
        n_controls: int,
        compute_type: int,
        extra_workspace: int,
        extra_workspace_size_in_bytes: int,
    ) -> None:
        assert handle == 7
        assert matrix_data_type == sv_data_type
        assert compute_type == COMPUTE[sv_data_type]
        assert map_type == 1, "MATRIX_INDEXED"
        assert layout in (0, 1)
        assert n_controls == len(controls) == len(control_bit_values) == 0
        assert n_targets == len(targets) == len(set(targets))
        assert all(0 <= target < n_index_bits for target in targets)
        assert sv_stride >= 2**n_index_bits
        assert (extra_workspace, extra_workspace_size_in_bytes) == (0, 0)
        assert self.handler is not None, "without a handler the library needs a workspace"
        dtype, side = COMPLEX[sv_data_type], 2**n_targets
        states = at(batched_sv, (n_svs, sv_stride), dtype)[:, : 2**n_index_bits]
        given = at(matrices, (n_matrices, side, side), dtype)
        matrix = given if layout == 1 else given.transpose(0, 2, 1)
        if adjoint:
            matrix = matrix.conj().transpose(0, 2, 1)
        which = at(matrix_indices, (n_svs,), np.int32)
        # index[r, m]: where amplitude m of the block lies while the other bits are r; bit j of m is bit targets[j] of the index
        everywhere = np.arange(2**n_index_bits)
        rest = everywhere[(everywhere & sum(1 << target for target in targets)) == 0]
        inside = sum(((np.arange(side) >> bit & 1) << target for bit, target in enumerate(targets)), start=np.zeros(side, int))
        index = rest[:, None] | inside
        states[:, index] = np.einsum("nab,nrb->nra", matrix[which], states[:, index])
        self.calls += 1
