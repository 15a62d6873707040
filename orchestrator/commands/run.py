"""`hadamard run`: check a study, enter its trials in the ledger, embed, train, report, sync."""

from __future__ import annotations

import shlex
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from hadamard.cluster.allocation import Allocation, detect
from hadamard.cluster.energy.base import CPU
from hadamard.cluster.energy.choice import open_meter, why_not_measured
from hadamard.cluster.mpi_smoke_test import smoke_test
from hadamard.model.logs import log_to
from hadamard.model.simulators.registry import check_simulator
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.report import report_of
from hadamard.orchestrator.energy.totals import study_j
from hadamard.orchestrator.execution.budget_guard import UNKNOWN_JOULES, allowed, ended_by
from hadamard.orchestrator.execution.driver import Work, check_cache, drive, tool
from hadamard.orchestrator.execution.retry_policy import close, open_attempts
from hadamard.orchestrator.execution.stop_reasons import infer_driver_exit
from hadamard.orchestrator.formats import count
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord, explained_disk_errors
from hadamard.orchestrator.ledger.notices import withdraw_all
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.orchestrator.ledger.provenance import provenance
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.planning.cost_estimate import estimate_run
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import known_rates
from hadamard.orchestrator.planning.packs import Pack, pack_up
from hadamard.orchestrator.planning.words import choice_in_words, expected_time, simulators_in_words
from hadamard.orchestrator.results.tables import failure_lines, failures
from hadamard.orchestrator.study.budget import Budget
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.file import Problem, StudyError, located
from hadamard.orchestrator.tracking.address import sqlite_file, tracking_uri, without_password
from hadamard.orchestrator.tracking.mlflow_sync import SyncResult, sync, tracked
from hadamard.slurm import jobs

State = Literal["complete", "incomplete", "interrupted"]


def run_study(path: Path, overrides: Sequence[str], directory: Path | None, dashboard: bool) -> State:
    """Do what the study owes and write its report; return how it ended.

    Raises:
        UserError: Anything that can be known beforehand to be wrong; nothing has been written then.
    """
    console, began_s = Console(highlight=False, markup=False, soft_wrap=True), feedback.process_began_s()
    plan = read_plan(path, overrides)
    ledger = Ledger.of(plan.study, directory)
    allocation = detect()
    before = ledger.records(plan.trials)
    owed = allowed(plan.study.budget, ledger.directory, before)
    ledger.check(plan.study, len(owed))
    rates = known_rates()
    packs = pack_up(owed, allocation, rates)
    estimate = estimate_run(packs, allocation, rates)
    with located(path, overrides):
        check_feasible(packs, allocation)
        _check_budget(plan.study.budget, ledger, packs)
    _check_simulators(packs)
    if any(pack.ranks > 1 for pack in packs):
        smoke_test()
    check_cache(owed)
    why_not_measured()  # refuses what is no meter
    interrupted = False
    _say_start(console, plan, owed, packs, allocation, expected_time(estimate.wall_s, rates))
    with explained_disk_errors(ledger.directory), ledger.owned() as claim:
        log_to(ledger.directory / "logs" / "driver.log")
        withdraw_all(ledger.directory)
        ledger.enter(plan.trials)
        ledger.save_study(plan.study, plan.trials, _provenance(ledger, plan, owed))
        _close_attempts_of(claim.previous, ledger, plan, console)
        if owed:
            interrupted = drive(Work(ledger, plan, before, owed, packs, allocation), claim, console, dashboard)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # what follows is short; before, it ends this process, and nothing is lost
        claim.check()
        records = ledger.records(plan.trials)
        if owed:
            feedback.record_comparison(ledger.directory, claim.owner.term, packs, estimate, records, (began_s, None))
        page = report_of(ledger, plan, records)
        outcome = sync(ledger, plan, run_has_ended=True)
        _say_end(console, ledger, plan, records, outcome, page, interrupted)
        if owed:
            ended_s = None if outcome.error else time.time()  # a server that hangs is nothing to plan by
            taken = feedback.record_comparison(ledger.directory, claim.owner.term, packs, estimate, records, (began_s, ended_s))
            console.print(f"time:      {feedback.learn_from(plan.study.study, taken, rates)}")
    if interrupted:
        console.print("stopped before the end; the same command goes on where this one was")
        return "interrupted"
    return "complete" if all(record.status == "done" for record in records) else "incomplete"


def _close_attempts_of(previous: OwnerRecord | None, ledger: Ledger, plan: Plan, console: Console) -> None:
    """End the attempts that the study's last driver left open, with the cause of its end: the ledger is ours now."""
    if left_open := open_attempts(map(ledger.files, plan.trials)):
        cause = infer_driver_exit(previous, jobs.details, jobs.node_lost)
        close(left_open, cause)
        console.print(f"going on:  {count(len(left_open), 'trial')} in training when the last run ended ({cause})")


def _check_budget(budget: Budget, ledger: Ledger, packs: Sequence[Pack]) -> None:
    """Refuse to limit joules that would not be known."""
    if budget.energy is None:
        return
    meter = open_meter()
    why = why_not_measured() or ("none of this node's counters can be read" if meter is None else "")
    if meter is not None and any(pack.gpus for pack in packs) and not any(counter.device != CPU for counter in meter.counters):
        why = f"packs use GPUs, and what is counted here is {', '.join(sorted({counter.scope for counter in meter.counters}))}"
    if not why and study_j(ledger.directory) is None:
        why = f"{UNKNOWN_JOULES}. Run the study without, or in another directory with --dir"
    if why:
        raise StudyError([Problem(f"joules cannot be limited, since they are not measured: {why}", ("budget", "energy"))])


def _check_simulators(packs: Sequence[Pack]) -> None:
    """Open every simulator that is asked for by name, as far as one process can: better refused now than in each trial."""
    named = {(trial.settings.simulator, pack.ranks) for pack in packs for trial in pack.trials}
    for name, ranks in sorted((name, ranks) for name, ranks in named if name != "auto"):
        check_simulator(name, ranks)


def _provenance(ledger: Ledger, plan: Plan, owed: Sequence[Trial]) -> dict[str, object]:
    """Return the provenance to keep: the earlier one if nothing is run now; the study's id never changes."""
    before = ledger.provenance() if ledger.study_file.exists() else None
    if before and not owed:
        return before
    return provenance(plan, before["study_id"] if before else uuid.uuid4().hex, before["shown"].get("commit", "") if before else "")


def _say_start(
    console: Console, plan: Plan, owed: Sequence[Trial], packs: Sequence[Pack], allocation: Allocation, time_in_words: str
) -> None:
    study = plan.study
    arms = f"{count(len(plan.design.rows), 'row')} and {count(len(study.baselines), 'baseline')}"
    console.print(f"{study.study}: {arms}, each on {count(study.design.splits, 'split')}: {count(len(plan.trials), 'trial')}")
    if (choice := choice_in_words(study)) is not None:
        console.print(f"choice:    {choice}")
    gpus = f" and {count(allocation.total_gpus, 'GPU')}" if allocation.gpus else ""
    nodes = f" on {allocation.nodes} nodes" if allocation.nodes > 1 else ""
    where = f"{count(allocation.total_cpus, 'core')}{gpus}{nodes} of {allocation.source}"
    console.print(f"to do:     {count(len(owed), 'trial')} in {count(len(packs), 'pack')} on {where}")
    console.print(f"expected:  {time_in_words}")
    console.print(f"simulator: {simulators_in_words(plan.trials, packs)}")


def _say_end(
    console: Console, ledger: Ledger, plan: Plan, records: Sequence[TrialRecord], outcome: SyncResult, page: Path, interrupted: bool
) -> None:
    failed = [record for record in records if record.status == "failed"]
    done = sum(record.status == "done" for record in records)
    console.print(f"done {done}, failed {len(failed)}, owed {len(records) - done - len(failed)} of {len(records)} trials")
    for line in failure_lines(failures(records)):
        console.print(f"  {line}")
    if not interrupted and (why := ended_by(plan.study.budget, ledger.directory, records)):
        console.print(why)
    if any(record.owed for record in failed):
        console.print(f"the same command tries failed trials again, except diverged ones; logs: {ledger.packs}/*/log.txt")
    console.print(f"report:    {page}")
    uri = tracking_uri(ledger)
    is_file = sqlite_file(uri) is not None
    console.print(f"MLflow:    {shlex.join([tool('mlflow'), 'ui', '--backend-store-uri', uri]) if is_file else without_password(uri)}")
    if outcome.error:
        console.print(f"           {outcome.runs} of {len(tracked(record.trial for record in records))} trials are there ({outcome.error})")
        console.print(f"           {shlex.join([tool('hadamard'), 'sync', str(ledger.directory)])}   sends the rest")
