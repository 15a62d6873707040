"""The driver: does what a study owes, embeddings and then the sweep, with all that runs beside them, until the end or a stop.

What comes before and after is in `commands.run`.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.energy.choice import open_meter
from hadamard.cluster.energy.recorder import IDLE_S
from hadamard.cluster.launch import STOP_GRACE_S, environment
from hadamard.model.errors import UserError
from hadamard.model.files.causes import Cause
from hadamard.model.representation import embeddings
from hadamard.model.trial import Trial, TrialSettings
from hadamard.orchestrator.execution.budget_guard import BudgetGuard, Limits, deadline
from hadamard.orchestrator.execution.node_meters import nodes_alive, others_meters, own_meter
from hadamard.orchestrator.execution.progress import Progress
from hadamard.orchestrator.execution.retry_policy import close
from hadamard.orchestrator.execution.signals import StopSignals
from hadamard.orchestrator.execution.stop_reasons import infer_stop_reason
from hadamard.orchestrator.ledger.claim import Claim
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord
from hadamard.orchestrator.ledger.resource_log import embedding
from hadamard.orchestrator.planning.packs import Pack
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.study.inputs import inputs_of
from hadamard.orchestrator.tracking import mlflow_sync
from hadamard.slurm import jobs

logger = logging.getLogger(__name__)
PACKS_END_S = 15.0
"""For packs to end after their processes have: then they are killed."""


@dataclass(frozen=True)
class Work:
    """What a driver has to do.

    Attributes:
        ledger: The study's directory.
        plan: All of the study.
        before: Its records before this run.
        owed: The trials to be done now.
        packs: What holds them.
        allocation: Where they run.
    """

    ledger: Ledger
    plan: Plan
    before: Sequence[TrialRecord]
    owed: Sequence[Trial]
    packs: Sequence[Pack]
    allocation: Allocation


def drive(work: Work, claim: Claim, console: Console, dashboard: bool) -> bool:
    """Embed and sweep; return whether a signal ended it early. Trials then stay owed, and what was in training is saved.

    Raises:
        OwnedError: Another driver has taken the study over.
    """

    def stop(number: int) -> None:
        if claim.lost:
            raise KeyboardInterrupt  # the study is another driver's: nothing more may be written
        claim.stop(infer_stop_reason(number, jobs.details))

    study, run, allocation, meter = work.ledger.directory, claim.owner.term, work.allocation, open_meter()
    if meter is not None:
        idle = "" if meter.method == "modelled" else f"; first, for {IDLE_S:g} s, what the idle node takes"
        console.print(f"energy:    {meter.method}{idle}")
    logger.info("term %d: %d trials owed, in %d packs, on %s", run, len(work.owed), len(work.packs), allocation.description)
    guard = BudgetGuard(study, run, work.plan.study.budget, lambda: len(nodes_alive()) or allocation.nodes)
    signals = StopSignals(stop, STOP_GRACE_S + PACKS_END_S)
    try:
        with signals, guard.watch(claim.stop), own_meter(study, run, meter):
            embed(work.owed, allocation, console, lambda sentences: embedding(study, run, allocation.cpus, allocation.gpus, sentences))
            if claim.owner.cause is None:  # embeddings may use a budget up
                _sweep(work, run, guard, signals, console, dashboard, metered=meter is not None)
    except KeyboardInterrupt:  # packs that had not stopped by themselves were killed
        claim.check()
        close(map(work.ledger.files, work.plan.trials), claim.owner.cause or Cause.INTERRUPTED)
    except Exception:  # Tune may die of a full disk in many ways; what it was is seen by trying
        work.ledger.check(work.plan.study, 1)
        raise
    logger.info("term %d: the sweep has ended%s", run, f" ({claim.owner.cause})" if claim.owner.cause else "")
    return signals.received


def embed(
    trials: Sequence[Trial],
    allocation: Allocation,
    console: Console,
    recorded: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Compute the embeddings that are not cached, in a process of its own: the driver stays without torch.

    `recorded` is entered meanwhile, with the number of sentences.
    """
    for settings in _not_embedded(trials).values():
        console.print(f"computing embeddings of {settings.data.name} by {settings.sentence_encoder.name}, once")
        command = [sys.executable, "-m", "hadamard.model.representation.embeddings", settings.model_dump_json(), str(allocation.cpus)]
        logger.info("embeddings of %s by %s are computed", settings.data.name, settings.sentence_encoder.name)
        with recorded(len(inputs_of(settings).corpus.texts)):
            done = subprocess.run(command, env=environment(allocation.cpus, allocation.gpus), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"the embeddings could not be computed (exit code {done.returncode}): {done.stderr[-2000:].strip()}")


def check_cache(trials: Sequence[Trial]) -> None:
    """Refuse a cache of embeddings that cannot be written, if these trials need to: compute nodes often only read it.

    Raises:
        UserError: It cannot be written.
    """
    if _not_embedded(trials) or any(trial.settings.sentence_encoder.representation == "setfit" for trial in trials):
        embeddings.check_cache()


def _not_embedded(trials: Sequence[Trial]) -> dict[Path, TrialSettings]:
    """Return settings by each file of embeddings that the trials read and that is not there yet."""
    read = {
        embeddings.cached_file(trial.data_hash, trial.sentence_encoder_hash): trial.settings
        for trial in trials
        if trial.settings.sentence_encoder.representation != "setfit"  # what is tuned on a split is embedded by the first to train on it
    }
    return {file: settings for file, settings in read.items() if not file.exists()}


def tool(name: str) -> str:
    """Return how to call a command of this environment, activated or not."""
    path = Path(sys.executable).parent / name
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _sweep(work: Work, run: int, guard: BudgetGuard, signals: StopSignals, console: Console, dashboard: bool, metered: bool) -> None:
    """Run the packs over Ray, with all that runs beside."""
    from hadamard.orchestrator.execution.ray_tune import ray_cluster, run_packs

    ledger, plan, budget = work.ledger, work.plan, work.plan.study.budget
    with ray_cluster(work.allocation, dashboard) as found, contextlib.ExitStack() as beside:
        if found is not None:  # of a job's Ray the batch script says how it is reached
            console.print(f"Ray dashboard: {found.url} (asks once for the token in {found.token})")
        if metered:
            beside.enter_context(others_meters(ledger.directory, run))
        beside.enter_context(mlflow_sync.background_sync(ledger, plan))
        beside.enter_context(Progress(ledger, work.before, work.owed, console))
        beside.enter_context(signals.graceful())
        limits = Limits(budget, deadline(budget, guard.note(), work.allocation.nodes, time.time()))
        run_packs(ledger, work.packs, plan.study.study, run, limits, metered)
