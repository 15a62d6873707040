"""Builds the C++ kernels with the sanitizers of addresses and undefined behaviour, and runs them all on odd sizes: `make sanitize`.

Whatever a sanitizer finds ends the run with its report. Arrays are as large as the kernels may touch and no larger.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
WIDTHS = ("narrow", "avx2", "avx512")
"""Of vectors; where the processor lacks one, the widest that it has is run again."""
NATIVE = "hadamard.model.simulators.compiled.native"
LIMIT = 1 + 1e-4


def sanitizer_library() -> Path | None:
    """Return the compiler's runtime of the address sanitizer; None where it has none."""
    asked = subprocess.run([os.environ.get("CXX", "c++"), "-print-file-name=libasan.so"], capture_output=True, text=True)
    path = Path(asked.stdout.strip())
    return path.resolve() if path.is_absolute() else None


def build(directory: Path) -> Path:
    """Build the module and return its path."""
    nanobind = subprocess.run([sys.executable, "-m", "nanobind", "--cmake_dir"], capture_output=True, text=True, check=True).stdout.strip()
    options = ["-DSANITIZE=ON", f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}"]
    subprocess.run(["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(directory), *options], check=True, stdout=sys.stderr)
    subprocess.run(["cmake", "--build", str(directory)], check=True, stdout=sys.stderr)
    return next(directory.glob("native*.so"))


def run(module: Path, library: Path, width: str) -> None:
    """Run the kernels of one width in a process that the sanitizer watches from its start."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has until the process ends
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "HADAMARD_KERNELS": width,
    }
    subprocess.run([sys.executable, __file__, "--kernels", str(module)], check=True, env=environment, cwd=ROOT)


def load(path: Path) -> ModuleType:
    """Load the module that was built here in the place of the installed one."""
    spec = importlib.util.spec_from_file_location(NATIVE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NATIVE] = module
    spec.loader.exec_module(module)
    return module


def aligned(shape: tuple[int, ...], dtype: type[Any]) -> np.ndarray:
    """Return an array as aligned as vectors want it, of exactly its size; its memory is never given back."""
    allocate = ctypes.CDLL(None).aligned_alloc
    allocate.restype, allocate.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(allocate(64, size)), dtype).reshape(shape)


class Kernels:
    """Programs and batches of odd sizes for the kernels of one width, in one precision."""

    def __init__(self, native: ModuleType, dtype: type[Any]) -> None:
        self.native, self.dtype, self.single = native, dtype, dtype is np.float32
        self.lanes = native.vector_bytes // np.dtype(dtype).itemsize
        self.random = np.random.default_rng(0)

    def numbers(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(self.dtype)

    def program(self, qubits: int, lane_bits: int, far: int = 0) -> Any:
        """Return a program in which every bit controls every other, and rotates by weights and inputs; `far` more bits number ranks."""
        from hadamard.model.simulators.compiled.lowering import Rotation, Term
        from hadamard.model.simulators.compiled.programs import kernel_program

        pairs = [(control, target) for control in range(qubits + far) for target in range(qubits) if control != target]
        terms = (Term("weights", 0, 1.0), Term("inputs", 1, -0.5)), (Term("weights", 2, 0.5),), ()
        chosen: list[tuple[int | None, int]] = [(None, 0), *pairs[: 60 if qubits < 10 else 20]]
        rotations = [Rotation(control, target, terms[number % 3], 0.1 * number) for number, (control, target) in enumerate(chosen)]
        measured = [(wire, 1 - 2 * (wire % 2)) for wire in range(qubits + far)]
        return kernel_program(rotations, {wire: wire for wire in range(qubits + far)}, qubits, lane_bits, measured, 3, 2)

    def whole(self, qubits: int, rows: int, lane_bits: int, trials: int = 2) -> None:
        """Run circuits forward and back, with and without initial states and wanted gradients."""
        program, blocks = self.program(qubits, lane_bits), -(-rows // (self.lanes >> lane_bits))
        weights, inputs = self.numbers(trials, 3), self.numbers(trials, rows, 2)
        for amplitudes, threads in ((0, 1), (2**qubits, 3), (max(2**qubits - 1, 1), 1), (1, 2)):
            states = self.numbers(trials, rows, max(amplitudes, 1))
            states /= np.linalg.norm(states, axis=2, keepdims=True)
            saved = aligned((trials * blocks * 2 ** (qubits - lane_bits), self.lanes), self.dtype)
            values = np.empty((trials, rows, qubits), self.dtype)
            given = states.ctypes.data if amplitudes else 0
            for kept in (0, saved.ctypes.data):
                self.native.forward(
                    program, self.single, trials, rows, weights.ctypes.data, inputs.ctypes.data, given, amplitudes, kept,
                    values.ctypes.data, threads,
                )  # fmt: skip
                self.check(values)
            of_weights, of_inputs, of_states = np.zeros_like(weights), np.zeros_like(inputs), np.empty_like(states)
            for wanted in (True, False):
                self.native.backward(
                    program, self.single, trials, rows, weights.ctypes.data, inputs.ctypes.data, saved.ctypes.data, values.ctypes.data,
                    of_weights.ctypes.data, of_inputs.ctypes.data if wanted else 0, of_states.ctypes.data if wanted and amplitudes else 0,
                    amplitudes, threads,
                )  # fmt: skip
            assert np.isfinite(of_weights).all()

    def stages(self, qubits: int, rows: int, lane_bits: int, far: int, trials: int = 2) -> None:
        """Run a stage of shared states forward and back, as each rank does."""
        program, blocks = self.program(qubits, lane_bits, far), -(-rows // (self.lanes >> lane_bits))
        weights, inputs, shape = (
            self.numbers(trials, 3),
            self.numbers(trials, rows, 2),
            (trials * blocks * 2 ** (qubits - lane_bits), self.lanes),
        )
        for rank, threads in itertools.product(range(2**far), (1, 3)):
            states, cotangents = aligned(shape, self.dtype), aligned(shape, self.dtype)
            states[...] = self.numbers(*shape) / np.sqrt(2**qubits)
            values = np.empty((trials, rows, qubits + far), self.dtype)
            batch = (program, self.single, trials, rows, rank)
            angles = (weights.ctypes.data, inputs.ctypes.data)
            self.native.advance(*batch, *angles, states.ctypes.data, threads)
            self.native.measure(*batch, states.ctypes.data, values.ctypes.data, threads)
            self.native.begin(*batch, states.ctypes.data, cotangents.ctypes.data, values.ctypes.data, threads)
            of_weights, of_inputs = np.zeros_like(weights), np.zeros_like(inputs)
            self.native.retreat(
                *batch, *angles, states.ctypes.data, cotangents.ctypes.data, of_weights.ctypes.data, of_inputs.ctypes.data, threads
            )
            assert np.isfinite(values).all()
            assert np.isfinite(of_weights).all()

    def check(self, values: np.ndarray) -> None:
        assert np.abs(values).max(initial=0) <= LIMIT, "an expectation lies outside of [-1, 1]"

    def all(self) -> None:
        for qubits, rows in itertools.product((1, 2, 3, 5, 6), (1, 3, 17)):
            for lane_bits in range(min(self.lanes.bit_length() - 1, max(qubits - 2, 0)) + 1):
                self.whole(qubits, rows, lane_bits)
                if qubits > 2:
                    self.stages(qubits, rows, lane_bits, far=2)
        for rows, lane_bits in ((5, 0), (1, min(3, self.lanes.bit_length() - 1))):
            self.whole(13, rows, lane_bits, trials=1)
            self.stages(13, rows, lane_bits, far=1, trials=1)
        self.whole(4, 0, 0)
        self.whole(4, 3, 0, trials=0)


def main() -> None:
    """Build and run all widths; or, in the process that the sanitizer watches, run the kernels of a module."""
    parser = argparse.ArgumentParser(description="Run the C++ kernels under sanitizers.")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "sanitized", help="where to build")
    parser.add_argument("--kernels", type=Path, help="the module to run in this process")
    arguments = parser.parse_args()
    if arguments.kernels:
        native = load(arguments.kernels)
        for dtype in (np.float32, np.float64):
            Kernels(native, dtype).all()
        print(f"{8 * native.vector_bytes}-bit vectors: nothing found")
        return
    library = sanitizer_library()
    if library is None:
        raise SystemExit("the C++ compiler has no address sanitizer (libasan)")
    module = build(arguments.build)
    for width in WIDTHS:
        run(module, library, width)


if __name__ == "__main__":
    main()
