"""A plan: a study's design, trials and packs, with what they are expected to need, made before anything runs.

Owns the grouping of trials into packs and the refusal of what cannot fit. Does not own seeds, rates, or how a plan is shown.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.allocation import Allocation
from model.embeddings import cached_file
from model.head_layout import shape
from model.settings import Trial
from orchestrator.design.design import Design, build
from orchestrator.design.kinds import DesignError
from orchestrator.estimates import PROCESS_BYTES, SENTENCES_PER_CORE_S, pack_seconds, trial_bytes
from orchestrator.inputs import inputs_of
from orchestrator.ledger import Ledger
from orchestrator.study import Study, study_of
from orchestrator.study_file import Problem, StudyError, StudyFile
from orchestrator.trials import trials_of

PACKS_PER_CORE = 4
"""Packs are made no larger than leaves each core this many: enough to balance the load, few enough to pay the start-up seldom."""
CPUS_PER_PACK = 1


@dataclass(frozen=True)
class Pack:
    """Trials of one circuit shape, trained together by one process."""

    id: str
    trials: tuple[Trial, ...]
    memory_bytes: int
    seconds: float | None
    """Expected duration; None where no rate was measured for the simulator."""


@dataclass(frozen=True)
class Plan:
    """A study, ready to run."""

    study: Study
    design: Design
    trials: tuple[Trial, ...]


def read_plan(path: Path, overrides: Sequence[str]) -> Plan:
    """Return the plan of a study file.

    Args:
        path: The YAML file.
        overrides: `a.b=value` strings, applied before anything is checked.

    Raises:
        StudyError: The study is not valid, its design cannot be made, or rows cannot be run; every problem with file:line.
        DataError, SentenceEncoderError: The corpus or the sentence encoder is not there.
    """
    file = StudyFile.read(path, overrides)
    try:
        return make_plan(study_of(file))
    except StudyError as error:
        raise error.located(file) from error


def make_plan(study: Study) -> Plan:
    """Build a study's design and trials; raises what `read_plan` does, without lines."""
    try:
        design = build(study.design, study.factor_list(), study.seed)
    except DesignError as error:
        raise StudyError([Problem(str(error), ("design",))]) from error
    return Plan(study, design, trials_of(study, design))


def reopen(directory: Path) -> tuple[Ledger, Plan]:
    """Return ledger and plan of a study that has been run, from its directory alone."""
    ledger = Ledger.existing(directory)
    study = ledger.load_study()
    design = build(study.design, study.factor_list(), study.seed)
    values = {row.name: row.values for row in design.rows}
    trials = [trial.model_copy(update={"factors": values.get(trial.arm, {})}) for trial in ledger.load_trials()]
    return ledger, Plan(study, design, tuple(trials))


def pack_up(trials: Sequence[Trial], allocation: Allocation) -> tuple[Pack, ...]:
    """Group trials by shape into packs, in the order in which their first trials come.

    A pack is no larger than balances the load, nor than fits the part of the memory that each of the packs running at once has; one trial
    alone may need more than that, and then fewer packs run at once.
    """
    balanced = max(1, math.ceil(len(trials) / (PACKS_PER_CORE * allocation.cpus)))
    for_states = allocation.memory_bytes * CPUS_PER_PACK // allocation.cpus - PROCESS_BYTES
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(shape(trial), []).append(trial)
    chunks: list[list[Trial]] = []
    for group in groups.values():
        fitting = for_states // max(1, _trial_bytes(group[0]))
        most = max(1, min(balanced, fitting))
        chunks += [group[start : start + most] for start in range(0, len(group), most)]
    order = {trial.key: position for position, trial in enumerate(trials)}
    return tuple(_pack(chunk) for chunk in sorted(chunks, key=lambda chunk: order[chunk[0].key]))


def check_fit(packs: Sequence[Pack], allocation: Allocation) -> None:
    """Refuse, before anything starts, packs that need more memory than there is: Ray would let them wait for ever.

    Raises:
        StudyError: The arms that cannot fit, with what they need.
    """
    too_large = {trial.arm: pack for pack in packs for trial in pack.trials if pack.memory_bytes > allocation.memory_bytes}
    available = f"{allocation.source} has {allocation.memory_bytes / 2**30:.1f}"
    remedy = "Use fewer qubits or a smaller training.batch, or a machine with more memory"
    problems = [
        Problem(f"{arm} needs about {pack.memory_bytes / 2**30:.1f} GiB of memory, {available}. {remedy}", ("factors",))
        for arm, pack in sorted(too_large.items())
    ]
    if problems:
        raise StudyError(problems)


def expected_seconds(packs: Sequence[Pack], cpus: int) -> float | None:
    """Return the expected time for all packs on so many cores, embeddings included; None if any pack's is not known."""
    known = [pack.seconds for pack in packs if pack.seconds is not None]
    if len(known) < len(packs):
        return None
    return max(sum(known) / cpus, max(known, default=0.0)) + embedding_seconds([trial for pack in packs for trial in pack.trials], cpus)


def embedding_seconds(trials: Sequence[Trial], cpus: int) -> float:
    """Return the expected time for the embeddings that are not in the cache yet."""
    missing = {
        (trial.data_hash, trial.sentence_encoder_hash): len(inputs_of(trial.settings).corpus.texts)
        for trial in trials
        if not cached_file(trial.data_hash, trial.sentence_encoder_hash).exists()
    }
    return sum(missing.values()) / (SENTENCES_PER_CORE_S * cpus)


def _pack(trials: list[Trial]) -> Pack:
    inputs = inputs_of(trials[0].settings)
    digest = hashlib.sha256(" ".join(trial.key for trial in trials).encode()).hexdigest()[:8]
    return Pack(
        id=f"{trials[0].arm}-{digest}",
        trials=tuple(trials),
        memory_bytes=PROCESS_BYTES + len(trials) * _trial_bytes(trials[0]),
        seconds=pack_seconds(trials, len(inputs.corpus.texts), inputs.sentence_encoder.dimension),
    )


def _trial_bytes(trial: Trial) -> int:
    return trial_bytes(trial, inputs_of(trial.settings).sentence_encoder.dimension)
