"""`hadamard submit`: plan a study for the nodes of its job, refuse what cannot fit, and put the job into Slurm's queue."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from hadamard.cluster.allocation import detect
from hadamard.model.errors import UserError
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands import plan_ranks
from hadamard.orchestrator.formats import count, duration
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.orchestrator.planning.cost_estimate import embedding_seconds, estimate_run
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import known_rates
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.planning.words import expected_time
from hadamard.orchestrator.study.expansion import read_plan
from hadamard.orchestrator.study.file import located
from hadamard.slurm import submit as slurm
from hadamard.slurm.requested import RequestedResources, directives, requested
from hadamard.slurm.site_profiles import find_site

START_S = 30
"""From a job's start until its first pack trains."""


@dataclass(frozen=True)
class Request:
    """What a user wants submitted.

    Attributes:
        study: The study file.
        overrides: `a.b=value` strings.
        directory: Where the study is kept; None for the usual place.
        dashboard: Whether the job starts the Ray dashboard.
        site: Name of a site profile; None for $HADAMARD_SITE, else the generic one.
        join: Lend nodes to a study that another job leads.
        chain: Number of jobs, one after the other, in place of one that queues itself again; None for that one.
        dry_run: Only print what would be done.
    """

    study: Path
    overrides: Sequence[str] = ()
    directory: Path | None = None
    dashboard: bool = True
    site: str | None = None
    join: bool = False
    chain: int | None = None
    dry_run: bool = False


def submit_study(request: Request, options: slurm.SubmitOptions) -> None:
    """Submit a study and say what is to be expected; with `dry_run`, the commands alone go to standard output.

    Raises:
        UserError: The study cannot be run, cannot fit, or Slurm refuses it; no job has been submitted then, unless the message names it.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True, stderr=request.dry_run)
    _check(request, options)
    wanted = requested(directives(slurm.SCRIPT.read_text()) | options.named())
    plan = read_plan(request.study, request.overrides)
    ledger = Ledger.of(plan.study, request.directory)
    owed = [record.trial for record in ledger.records(plan.trials) if record.owed]
    ledger.check(plan.study, len(owed))
    if not owed:
        console.print(f"{plan.study.study}: nothing is owed of {count(len(plan.trials), 'trial')}; nothing is submitted")
        return
    logs = ledger.directory / "jobs"
    job = replace(
        options,
        job_name=plan.study.study,
        logs=logs,
        requeue=not (request.join or request.chain),
        environment=job_environment(request.site, Path.cwd(), os.environ),
    )
    console.print(f"{plan.study.study}: {count(len(owed), 'trial')} of {len(plan.trials)} owed")
    for line in _outlook(request, owed, wanted, _leader(ledger.directory)):
        console.print(line)
    script, arguments, jobs = _relative(slurm.SCRIPT), _run_arguments(request), request.chain or 1
    if request.dry_run:
        print("\n".join(slurm.shell_lines(job, script, arguments, logs, jobs)))
    else:
        _say_submitted(console, slurm.submit(job, script, arguments, logs, jobs), job, ledger.directory)


def _outlook(request: Request, owed: Sequence[Trial], wanted: RequestedResources, leader: OwnerRecord | None) -> list[str]:
    """Return the expected course of a job as lines; raises what `submit_study` does."""
    allocation = wanted.allocation(detect().memory_bytes)
    rates, usable = known_rates(), usable_s(wanted)
    packs = pack_up(owed, allocation, rates)
    with located(request.study, request.overrides):
        check_feasible(packs, allocation, memory_known=wanted.memory_bytes is not None)
    lines = [f"job:       {request_in_words(wanted)}"]
    if leader is not None:
        lines.append(f"joins:     job {leader.job} on {leader.host}, which leads the study")
    elif request.join:
        lines.append("joins:     no job leads the study now; the first of these to start will")
    else:
        seconds = estimate_run(packs, allocation, rates).wall_s
        lines.append(f"expected:  {count(len(packs), 'pack')}, {expected_time(seconds, rates)}{rounds(seconds, usable, request.chain)}")
    lines += [f"ranks:     {line}" for line in plan_ranks.lines(plan_ranks.ranked_trials(packs))]
    if (missing_s := embedding_seconds(owed, allocation.cpus, rates)) > 0:
        lines.append(f"           {duration(missing_s)} for embeddings; `hadamard fetch {shlex.quote(str(request.study))}` does them here")
    return lines


def usable_s(wanted: RequestedResources) -> int | None:
    """Return for how many seconds the packs of a job can train before it must save and stop; None where there is no limit.

    Raises:
        UserError: The job would be told to stop as soon as it has started.
    """
    if wanted.walltime_s is None:
        return None
    usable = wanted.walltime_s - wanted.early_s - START_S
    if usable <= 0:
        raise UserError(
            f"--time: of {duration(wanted.walltime_s)}, the last {wanted.early_s} s are for saving and the first {START_S} s for starting. "
            "Give more time, or less for saving with --sbatch=--signal=B:USR1@SECONDS"
        )
    return usable


def rounds(seconds: float | None, usable: int | None, chain: int | None) -> str:
    """Return, in words to go behind the expected time, how often the job will have to go on; empty where once is enough, or not known."""
    jobs = math.ceil(seconds / usable) if seconds is not None and usable is not None else 1
    if jobs <= 1:
        return ""
    if chain is None:
        return f"; longer than --time: the job will be queued again about {count(jobs - 1, 'time')}, and goes on each time where it was"
    return f"; longer than --time: about {jobs} jobs, of which --chain gives {chain}"


def job_environment(site: str | None, here: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which the batch script finds this installation, as far as it would not by itself.

    Args:
        site: The site profile asked for.
        here: Where the job is submitted, and starts.
        environment: What the job inherits anyway.
    """
    places = {
        "HADAMARD_SLURM": (slurm.SCRIPT.parent, here / "slurm"),
        "HADAMARD_BIN": (Path(sys.executable).parent, here / ".venv" / "bin"),
    }
    needed = {name: str(ours) for name, (ours, default) in places.items() if name not in environment and ours != default}
    return ({"HADAMARD_SITE": site} if site else {}) | needed


def request_in_words(wanted: RequestedResources) -> str:
    """Return the resources that a job requests, in words."""
    nodes = f"{wanted.nodes} nodes, each with " if wanted.nodes > 1 else "1 node with "
    gpus = f", {count(wanted.gpus, 'GPU')}" if wanted.gpus else ""
    memory = f"{wanted.memory_bytes / 2**30:.1f} GiB" if wanted.memory_bytes else "what memory the site gives, so that was not checked"
    limit = f"up to {duration(wanted.walltime_s)}" if wanted.walltime_s else "no time limit of ours"
    return f"{nodes}{count(wanted.cpus, 'core')}{gpus}, {memory}; {limit}"


def _check(request: Request, options: slurm.SubmitOptions) -> None:
    """Refuse what does not go together, and what cannot be done here."""
    if options.array and not request.join:
        raise UserError("--array: these jobs lend their nodes to a study that another job leads; give it with --join")
    if request.chain and request.join:
        raise UserError("--chain is for the job that leads a study, --join for those that help it: submit them one by one")
    if site := request.site or os.environ.get("HADAMARD_SITE"):
        find_site(site)
    if not request.dry_run:
        slurm.check_slurm()


def _leader(directory: Path) -> OwnerRecord | None:
    """Return the driver in another job that has the study.

    Raises:
        OwnedError: A driver outside Slurm has it: a job could neither join it nor lead.
    """
    owner = claim.living(directory)
    if owner is not None and owner.cluster is None and owner.state == "running":
        raise claim.OwnedError(owner, directory)
    return owner


def _run_arguments(request: Request) -> list[str]:
    """Return the options of `hadamard run` with which the job runs the study."""
    overrides = [word for override in request.overrides for word in ("--set", override)]
    directory = ["--dir", str(request.directory)] if request.directory else []
    return [str(request.study), *overrides, *directory, *([] if request.dashboard else ["--no-dashboard"])]


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say_submitted(console: Console, ids: Sequence[str], job: slurm.SubmitOptions, directory: Path) -> None:
    log = job.named()["output"].replace("%%", "%")
    console.print(f"submitted: job {', then '.join(ids)}")
    console.print(f"log:       {log.replace('%j', ids[0]).replace('%A', ids[0]).replace('%a', 'TASK')}")
    console.print(f"follow:    hadamard status {shlex.quote(str(directory))}   (once it runs, with the ssh line to the Ray dashboard)")
