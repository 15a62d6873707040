"""The cost model of trials that are trained together: seconds and memory, from their circuits and a machine's rates.

Rates are in `machine_rates.py`, the estimate of a whole run is in `cost_estimate.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hadamard.model.heads.base import ClosedFormHead, HeadSettings
from hadamard.model.representation.sentence_encoders import LocatedSentenceEncoder
from hadamard.model.settings import EVALUATION_ROWS
from hadamard.model.simulators.base import SimulatorKind
from hadamard.model.simulators.hardware import runs_on_gpu
from hadamard.model.simulators.select import resolve
from hadamard.model.simulators.sharded.rank_protocol import rows_at_once
from hadamard.model.trial import Trial, TrialSettings
from hadamard.orchestrator.planning.machine_rates import DENSE, FITTED, UNFROZEN, Rates
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.step_model import EXCHANGE_BUFFER, Kernels, Link, rank_amplitudes, step_of, step_seconds

SHARDED_KERNELS = Kernels(gate_s=8e-6, cached_s=0.14e-9, uncached_s=0.18e-9, cache_bytes=4 * 2**20)
"""Of `sharded`, a rank on a core of its own, float32, 6 to 26 qubits, 1 and 16 rows; measured by the benchmark `sharded_step`."""
LOCAL_LINK = Link(bytes_s=1.5e9, message_s=30e-6)
"""Between ranks of one node, by MPICH's shared memory with the packing around it; likewise measured, on two busy cores."""
CHARACTERS = 100
"""Of a sentence, where sentences are counted; SST-2's have 103 on average."""
MEASURED_COMPONENTS = 384**2 * 435
"""Principal components take time in proportion to the smaller of sentences and dimensions, squared, times the larger; here, those of
`Rates.components_s`."""
FORWARD_SHARE = 0.3
"""Part of forward plus gradient that the forward pass alone takes."""
TUNING_COPIES, TUNING_ACTIVATION_BYTES = 12, 600 * 2**20
"""While a sentence encoder is tuned: copies of its weights, with gradients, both moments and temporary ones; the activations of a step."""
PROCESS_BYTES = 700 * 2**20
"""A training process before its first state: torch, scikit-learn, and the corpus."""
STATES_KEPT = 3
"""Real states per row in a step of a simulator that does not keep one after every gate."""
GATE_STATES_KEPT = 2
"""States per row and gate where autograd keeps what each gate needs (measured: torch, 8 and 10 qubits)."""
STATES_EVALUATED = 4
"""Real states per row in an evaluation, which needs no gradient."""
PARAMETER_COPIES = 10
"""Copies of a trial's parameters: these and both moments, each in the pack and in the group that trains; the gradient, temporary ones."""


def work_seconds(trials: Sequence[Trial], sentences: int, dimension: int, layout: RankLayout, rates: Rates) -> float | None:
    """Return the expected seconds of training and evaluating trials, with a core for each rank; None for simulators without a rate.

    Args:
        trials: Of one shape.
        sentences: Size of the corpus, all of which is evaluated at the end.
        dimension: Length of an embedding.
        layout: The ranks that train them.
        rates: Of the machine.
    """
    settings, count = trials[0].settings, len(trials)
    head, training = settings.head, settings.training
    train, validation, test = sides(trials[0], sentences)
    part = part_of(settings, layout)
    if isinstance(head, ClosedFormHead):
        return rates.corrected(part, count * (rates.closed_form_s + rates.closed_form_row_s * (train + validation + test)))
    simulator = simulator_of(settings, layout)
    if simulator and simulator.ranks != "groups" and simulator.name not in rates.simulators:
        return None
    step_s = rates.step_s + count * (rates.row_s * training.batch + rates.parameter_s * (head.parameters(dimension) or 0))
    steps = training.epochs * math.ceil(train / training.batch)
    blocks = training.epochs * math.ceil(validation / EVALUATION_ROWS) + math.ceil((train + validation + test) / EVALUATION_ROWS)
    evaluated = (training.epochs * validation + train + validation + test) * count
    seconds = (
        steps * (step_s + _pass_seconds(settings, count * training.batch, layout, rates))
        + evaluated * rates.row_s
        + FORWARD_SHARE * blocks * (rates.step_s + _pass_seconds(settings, evaluated / blocks, layout, rates))
        + training.epochs * count * rates.trial_epoch_s
    )
    if head.principal_components(dimension):
        sizes = sorted((train, dimension))
        sides_fitted = len({(trial.split_seed, trial.fold) for trial in trials})
        seconds += sides_fitted * rates.components_s * sizes[0] ** 2 * sizes[1] / MEASURED_COMPONENTS
    if settings.sentence_encoder.representation == "unfrozen":
        seconds += count * _unfrozen_seconds(trials[0], sentences, rates)
    return rates.corrected(part, seconds)


def part_of(settings: TrialSettings, layout: RankLayout) -> str:
    """Return the part of a run's time that a trial belongs to, as runs correct it."""
    if settings.sentence_encoder.representation == "unfrozen":
        return UNFROZEN
    if isinstance(settings.head, ClosedFormHead):
        return FITTED
    simulator = simulator_of(settings, layout)
    if simulator is None:
        return DENSE
    return f"{simulator.name} on a GPU" if runs_on_gpu(simulator) else simulator.name


def sides(trial: Trial, sentences: int) -> tuple[int, int, int]:
    """Return how many of a corpus's sentences a trial trains on, holds out, and tests on."""
    data, fold = trial.settings.data, trial.fold
    train, validation = data.set_sizes
    if fold is None:
        return train, validation, sentences - train - validation
    held_out = 2 * data.fold_size(fold)
    return train + validation - held_out, held_out, 0


def tuning_seconds(trial: Trial, sentences: int, rates: Rates) -> float:
    """Return the expected seconds of one core for tuning the sentence encoder on a trial's split, and embedding the corpus.

    Args:
        trial: Whose split.
        sentences: Size of the corpus.
        rates: Of the machine.
    """
    tuning, numbers = trial.settings.sentence_encoder.tuning, sides(trial, sentences)
    return 4 * tuning.pairs * tuning.epochs * numbers[0] / rates.tuned_per_core_s + sum(numbers) * CHARACTERS / rates.characters_per_core_s


def tuning_bytes(trial: Trial, encoder: LocatedSentenceEncoder) -> int:
    """Return the memory that tuning the sentence encoder adds to a process, whatever it trains."""
    if trial.settings.sentence_encoder.representation == "frozen":
        return 0
    return TUNING_COPIES * encoder.weight_bytes + TUNING_ACTIVATION_BYTES


def _unfrozen_seconds(trial: Trial, sentences: int, rates: Rates) -> float:
    """Return the expected seconds that the sentence encoder takes of a trial that trains it."""
    train, validation, test = sides(trial, sentences)
    epochs = trial.settings.training.epochs
    return (
        epochs * train / rates.tuned_per_core_s
        + (epochs * validation + train + validation + test) * CHARACTERS / rates.characters_per_core_s
    )


def trial_bytes(trial: Trial, dimension: int, layout: RankLayout) -> int:
    """Return the memory that each trial of a pack adds to each process's: parameters, and the states of its rows of a batch.

    Args:
        trial: Any trial of the pack.
        dimension: Length of an embedding.
        layout: The ranks that train it; only the first of them holds parameters, but all are planned alike.
    """
    settings, head = trial.settings, trial.settings.head
    if isinstance(head, ClosedFormHead):
        return 0  # fitted one after the other, in memory that the process is allowed for anyway
    number_bytes = 8 if settings.precision == "float64" else 4
    numbers = PARAMETER_COPIES * (head.parameters(dimension) or 0) + 2 * settings.training.batch * dimension
    if components := head.principal_components(dimension):  # in the pack and in the group that trains, and what they are fitted on
        numbers += dimension * (2 * components + settings.data.set_sizes[0])
    if simulator := simulator_of(settings, layout):
        number_bytes = simulator.amplitude_bytes or number_bytes
        if simulator.ranks == "groups":
            numbers += _rank_numbers(head, settings.training.batch, layout, number_bytes)
        else:
            amplitudes = max(_step_amplitudes(head, simulator, settings.training.batch), _evaluation_amplitudes(head, simulator))
            numbers += amplitudes // layout.shards
    return number_bytes * numbers


def simulator_of(settings: TrialSettings, layout: RankLayout) -> SimulatorKind | None:
    """Return the simulator of a trial; None where nothing is simulated for its head."""
    if not settings.head.simulated:
        return None
    circuits = [use.circuit for use in settings.head.circuits()]
    return resolve(settings.simulator, circuits, settings.precision, layout.ranks).kind


def _rank_numbers(head: HeadSettings, batch: int, layout: RankLayout, number_bytes: int) -> int:
    """Return how many real numbers the shards of a rank hold, in a step or in an evaluation, which needs no cotangent."""
    evaluated = 0
    for use in head.circuits():
        shard = use.evaluation_rows * (1 << use.circuit.qubits) // layout.shards
        rows = min(rows_at_once(use.evaluation_rows, number_bytes * shard // use.evaluation_rows), layout.rows(EVALUATION_ROWS))
        evaluated = max(evaluated, round((1 + EXCHANGE_BUFFER) * rows * shard))
    return max(rank_amplitudes(head, batch, layout), evaluated)


def _step_amplitudes(head: HeadSettings, simulator: SimulatorKind, sentences: int) -> int:
    """Return how many amplitudes a step keeps for the gradient of a number of sentences."""
    amplitudes = 0
    for use in head.circuits():
        kept = STATES_KEPT if use.circuit.real else 2 * STATES_KEPT
        if simulator.keeps_every_gate:
            kept = GATE_STATES_KEPT * len(use.circuit.gates)
        amplitudes += kept * use.training_rows * sentences * (1 << use.circuit.qubits)
    return amplitudes


def _evaluation_amplitudes(head: HeadSettings, simulator: SimulatorKind) -> int:
    if simulator.evaluated_rows:  # rows are evaluated in groups of this size, and no state is kept
        return 2 * simulator.evaluated_rows << max((use.circuit.qubits for use in head.circuits()), default=0)
    rows = [use.evaluation_rows * (1 << use.circuit.qubits) for use in head.circuits()]
    return STATES_EVALUATED * EVALUATION_ROWS * max(rows, default=0)


def _pass_seconds(settings: TrialSettings, rows: float, layout: RankLayout, rates: Rates) -> float:
    """Return the seconds of forward and gradient of a number of sentences, of all trials together."""
    head, simulator = settings.head, simulator_of(settings, layout)
    if simulator is None or not head.circuits():
        return 0.0
    if simulator.ranks == "groups":
        number_bytes = 8 if settings.precision == "float64" else 4
        return sum(step_seconds(step_of(head, math.ceil(rows), layout, number_bytes), SHARDED_KERNELS, LOCAL_LINK))
    rate = rates.simulators[simulator.name]
    return sum(
        len(use.circuit.gates) * (rate.gate_s + rate.amplitude_s * use.training_rows * rows * (1 << use.circuit.qubits))
        for use in head.circuits()
    )
