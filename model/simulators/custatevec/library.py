"""NVIDIA's cuStateVec, as far as it is needed: a matrix for each of many states, applied in place on one GPU.

The calls of cuquantum-python's bindings and their arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from hadamard.model.errors import SettingsError

DATA_TYPES = {torch.complex64: 4, torch.complex128: 5}
"""cudaDataType's CUDA_C_32F and CUDA_C_64F."""
COMPUTE_TYPES = {torch.complex64: 1 << 2, torch.complex128: 1 << 4}
"""custatevecComputeType_t's COMPUTE_32F and COMPUTE_64F: what `default` means may change with the library."""
MATRIX_INDEXED = 1
"""Of custatevecMatrixMapType_t: each state says which matrix is its own."""
ROW_MAJOR = 1
"""Of custatevecMatrixLayout_t."""


class Bindings(Protocol):
    """What we call of `cuquantum.bindings.custatevec`, by position, as its release 26.9 declares it; pointers are integers."""

    def create(self) -> int:
        """Return a handle of the library on the current device."""

    def set_stream(self, handle: int, stream_id: int) -> None:
        """Have everything later run on a CUDA stream."""

    def set_device_mem_handler(self, handle: int, handler: tuple[Callable[..., Any], Callable[..., Any], str]) -> None:
        """Have the library take its workspaces from `malloc(size, stream)` and give them back by `free(pointer, size, stream)`."""

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
        """Multiply each state by its matrix, or by the matrix's adjoint."""


class Library:
    """One handle of cuStateVec; its workspaces come out of torch's pool of memory."""

    def __init__(self, bindings: Bindings, device: torch.device) -> None:
        self.bindings, self.device = bindings, device
        self.handle = bindings.create()
        bindings.set_device_mem_handler(self.handle, (self._take, self._give_back, "torch"))

    def apply(self, states: torch.Tensor, matrices: torch.Tensor, which: torch.Tensor, targets: Sequence[int], adjoint: bool) -> None:
        """Multiply states by matrices in place, on torch's current stream.

        Args:
            states: [n, 2**qubits] complex, contiguous.
            matrices: [m, 2**k, 2**k] in the states' precision, contiguous.
            which: [n] of int32: for each state the number of its matrix.
            targets: The k bits of the state's index that are the matrix's index, each from the least significant one.
            adjoint: Whether to apply the matrices' adjoints instead.
        """
        if states.is_cuda:
            self.bindings.set_stream(self.handle, torch.cuda.current_stream(states.device).cuda_stream)
        count, amplitudes = states.shape
        kind = DATA_TYPES[states.dtype]
        no_controls: tuple[int, ...] = ()
        self.bindings.apply_matrix_batched(
            self.handle,
            *(states.data_ptr(), kind, amplitudes.bit_length() - 1, count, amplitudes),
            *(MATRIX_INDEXED, which.data_ptr(), matrices.data_ptr(), kind, ROW_MAJOR, int(adjoint), len(matrices)),
            *(targets, len(targets), no_controls, no_controls, 0),
            COMPUTE_TYPES[states.dtype],
            *(0, 0),  # no workspace of ours: the library asks torch for one
        )

    def _take(self, size: int, stream: int) -> int:
        return torch.cuda.caching_allocator_alloc(size, self.device, stream)  # type: ignore[no-any-return]

    def _give_back(self, pointer: int, size: int, stream: int) -> None:
        torch.cuda.caching_allocator_delete(pointer)  # type: ignore[no-untyped-call]


@functools.cache
def open_library() -> Library:
    """Return cuStateVec on this process' first GPU; its handle lives as long as the process.

    Raises:
        SettingsError: There is no GPU that torch can use, cuquantum-python is missing, or it cannot load the library.
    """
    if not torch.cuda.is_available() or torch.version.cuda is None:
        raise SettingsError("simulator custatevec needs a GPU by NVIDIA and a torch that was built for it; `simulator: auto` needs neither")
    major = torch.version.cuda.partition(".")[0]
    try:
        from cuquantum.bindings import custatevec
    except ImportError as error:
        raise SettingsError(
            f"simulator custatevec cannot be opened here: {error}. Install it with: pip install cuquantum-python-cu{major}; "
            "`simulator: auto` needs nothing more"
        ) from error
    try:
        return Library(custatevec, torch.device("cuda", torch.cuda.current_device()))
    except Exception as error:  # what the binding raises depends on what is missing: a library, its symbols, a supported GPU
        raise SettingsError(
            f"simulator custatevec cannot be opened here: {error}. It takes the libcustatevec of cuquantum-python-cu{major} and a GPU of "
            "compute capability 7.0 or more; `simulator: auto` needs neither"
        ) from error
