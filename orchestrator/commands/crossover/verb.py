"""`hadamard energy` from its options to its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.energy.choice import stated_core_w
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import why_not_writable, write_atomically
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.simulators.select import resolve
from hadamard.orchestrator.commands.crossover.inference import SIMULATOR
from hadamard.orchestrator.commands.crossover.measured import Measured, measure_all, read_measured
from hadamard.orchestrator.commands.crossover.result import EnergyResult, energy_result
from hadamard.orchestrator.commands.crossover.scenarios import read_scenarios
from hadamard.orchestrator.commands.crossover.windows import counting_meter
from hadamard.orchestrator.timing.comparison import Contestant
from hadamard.orchestrator.timing.options import names_in, say, sizes_in
from hadamard.orchestrator.timing.paper_head import circuits
from hadamard.orchestrator.timing.simulators import usable_simulators, why_absent

QUBITS = "4,6,8,10,12,14,16,17,18,19,20,21,22,23,24"
LIMIT_S = 60.0
MOST_QUBITS = 40


@dataclass(frozen=True)
class Request:
    """What to measure; None: as usual.

    Attributes:
        qubits: Sizes, separated by commas.
        simulators: Names, separated by commas.
        limit_s: What the first pass over a batch may take.
    """

    qubits: str | None = None
    simulators: str | None = None
    limit_s: float | None = None


def energy(scenarios: Path, request: Request, saved: Path | None, watts: float | None, directory: Path) -> EnergyResult:
    """Measure, or read what was measured, and set it beside the models; write `measured.json`.

    Args:
        scenarios: The inputs of the models.
        request: What to measure.
        saved: What an earlier run measured: then nothing is measured now.
        watts: Of a busy core, to model joules by where no counter is.
        directory: Where `measured.json` goes.

    Raises:
        UserError: An option or the file of scenarios is not valid.
    """
    stated = read_scenarios(scenarios)
    if why := why_not_writable(directory):
        raise UserError(f"--out {directory}: {why}")
    if saved and request != Request():
        raise UserError(
            "--from takes what was measured; --qubits, --simulators and --limit-s say what to measure: leave one or the other out"
        )
    watts = watts if watts is not None else stated_core_w()
    if watts is not None and not saved and counting_meter() is not None:
        raise UserError("--watts models joules where no counter is; here there is one, and the two are never mixed: leave --watts out")
    measured = read_measured(saved) if saved else _measure(request)
    directory.mkdir(parents=True, exist_ok=True)  # what took minutes to measure is kept whatever comes next
    file = directory / "measured.json"
    write_atomically(file, measured.model_dump_json(indent=1) + "\n")
    return energy_result(stated, measured, watts).model_copy(update={"file": file})


def sizes_of(request: Request) -> list[int]:
    """Return the sizes that a request names, or the usual ones.

    Raises:
        UserError: One is out of range.
    """
    sizes = sizes_in(request.qubits or QUBITS)
    if sizes[-1] > MOST_QUBITS:
        raise UserError(
            f"--qubits {sizes[-1]}: at most {MOST_QUBITS} can be measured, and memory ends long before; larger ones are extrapolated"
        )
    return sizes


def _measure(request: Request) -> Measured:
    sizes = sizes_of(request)
    names = names_in(request.simulators or "") or [kind.name for kind in usable_simulators()]
    if unknown := [name for name in names if name not in SIMULATORS]:
        raise UserError(f"--simulators: there is no simulator {', '.join(unknown)}. Choose from: {', '.join(SIMULATORS)}")
    for name in names:
        if why := why_absent(SIMULATORS[name]):
            raise UserError(f"--simulators: {name}: {why}")
    contestants = [Contestant(name, SIMULATOR, (name,)) for name in names]
    alone = resolve("auto", circuits(sizes[0])).name
    measured = measure_all(contestants, alone, sizes, request.limit_s or LIMIT_S, say)
    say("")
    return measured
