"""Types of the compiled module; what its functions do is said in kernels/module.cpp."""

class Program:
    def __init__(
        self,
        qubits: int,
        lane_bits: int,
        steps: list[tuple[int, int, float, list[tuple[int, float]], list[tuple[int, float]]]],
        passes: list[tuple[bool, list[int]]],
        measured: list[int],
        signs: list[int],
        weights: int,
        inputs: int,
        /,
    ) -> None: ...

vector_bytes: int
cached_vectors: int

def forward(
    program: Program,
    single: bool,
    trials: int,
    rows: int,
    weights: int,
    inputs: int,
    states: int,
    amplitudes: int,
    saved: int,
    values: int,
    threads: int,
    /,
) -> None: ...
def backward(
    program: Program,
    single: bool,
    trials: int,
    rows: int,
    weights: int,
    inputs: int,
    saved: int,
    cotangent: int,
    weight_gradient: int,
    input_gradient: int,
    state_gradient: int,
    amplitudes: int,
    threads: int,
    /,
) -> None: ...
def advance(
    program: Program, single: bool, trials: int, rows: int, rank: int, weights: int, inputs: int, saved: int, threads: int, /
) -> None: ...
def measure(program: Program, single: bool, trials: int, rows: int, rank: int, saved: int, values: int, threads: int, /) -> None: ...
def begin(
    program: Program, single: bool, trials: int, rows: int, rank: int, saved: int, cotangents: int, cotangent: int, threads: int, /
) -> None: ...
def retreat(
    program: Program,
    single: bool,
    trials: int,
    rows: int,
    rank: int,
    weights: int,
    inputs: int,
    saved: int,
    cotangents: int,
    weight_gradient: int,
    input_gradient: int,
    threads: int,
    /,
) -> None: ...
