"""Follow-up designs as people and programs read them: why, what each adds and costs, and the command that runs it.

Owns the sizes of proposals and the wording and layout of `hadamard augment`. Does not own which are proposed. Writes and runs nothing.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from hadamard.cluster.allocation import Allocation, detect
from hadamard.orchestrator.commands.augment.known import Proposal
from hadamard.orchestrator.commands.augment.proposals import FollowUps, follow_ups
from hadamard.orchestrator.commands.plan import NARROW, expected
from hadamard.orchestrator.formats import count, points
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.planning.cost_estimate import estimate_run
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import known_rates
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.file import StudyError


@dataclass(frozen=True)
class Sized:
    """A proposal, and what it takes."""

    proposal: Proposal
    rows: int
    """Added to the design."""
    trials: int
    """Added to the study, those of baselines among them."""
    done: int
    """Of all trials it then has."""
    owed: int
    expected_s: float | None
    """For what is owed, on this machine; None where no rate was measured."""
    command: str


def show_follow_ups(directory: Path, wanted_points: float | None, power: float | None, as_json: bool) -> str:
    """Return follow-up designs for a study's directory as text or JSON.

    Args:
        directory: The study's.
        wanted_points: The smallest main effect that should be found, in points of test accuracy; default: see `follow_ups`.
        power: Probability with which it should be found; default: see `follow_ups`.
        as_json: Whether JSON is wanted.

    Raises:
        UserError: There is no study, nothing of it has finished, or its corpus or sentence encoder is not there.
    """
    ledger, plan = reopen(directory)
    records = ledger.records(plan.trials)
    wanted = None if wanted_points is None else wanted_points / 100
    found = follow_ups(plan, records, wanted, power)
    done, allocation = sum(record.status == "done" for record in records), detect()
    answers = [_sized(ledger, plan, proposal, allocation) for proposal in found.proposals]
    sized = [one for one in answers if isinstance(one, Sized)]
    notes = [*found.notes, *(one for one in answers if isinstance(one, str))]
    if lost := done - _kept(ledger, sized):
        notes.append(
            f"{lost} of the {count(done, 'finished trial')} would be done again: corpus, sentence encoder or the code that decides results "
            "have changed since."
        )
    if as_json:
        return json.dumps(_as_json(directory, plan, done, found, sized, notes), indent=1) + "\n"
    return _as_text(directory, plan, done, found, sized, notes)


def _sized(ledger: Ledger, now: Plan, proposal: Proposal, allocation: Allocation) -> Sized | str:
    """Return what a proposal takes, or why it cannot be run here: planned from the very file and settings of its command."""
    try:
        plan = read_plan(ledger.study_file, proposal.settings)
        records = ledger.records(plan.trials)
        rates = known_rates()
        packs = pack_up([record.trial for record in records if record.owed], allocation, rates)
        check_feasible(packs, allocation)
    except StudyError as error:
        return f"{proposal.name}: {error.problems[0].message}"
    return Sized(
        proposal,
        rows=len(plan.design.rows) - len(now.design.rows),
        trials=len(plan.trials) - len(now.trials),
        done=sum(record.status == "done" for record in records),
        owed=sum(record.owed for record in records),
        expected_s=estimate_run(packs, allocation, rates).wall_s,
        command=_command(ledger, proposal.settings),
    )


def _command(ledger: Ledger, settings: Sequence[str]) -> str:
    """Return the command that runs the study as it was last run, with these settings changed."""
    changes = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["hadamard", "run", str(ledger.study_file), "--dir", str(ledger.directory), *changes])


def _kept(ledger: Ledger, sized: Sequence[Sized]) -> int:
    """Return how many finished trials a proposal keeps."""
    if sized:
        return min(one.done for one in sized)
    return sum(record.status == "done" for record in ledger.records(read_plan(ledger.study_file, ()).trials))


def _as_text(directory: Path, plan: Plan, done: int, found: FollowUps, sized: Sequence[Sized], notes: Sequence[str]) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=NARROW, highlight=False, markup=False)
    rows = f"{count(len(plan.design.rows), 'row')} x {count(plan.study.design.splits, 'split')}"
    counted = f"{done} of {len(plan.trials)} trials are done"
    console.print(f"{plan.study.study} in {directory}: {plan.design.kind}, {rows}; {counted}", soft_wrap=True)
    if found.noise.sd is not None:
        df = f"{found.noise.df:.3g} degrees of freedom"
        console.print(f"{'noise':<10}one trial scatters by {points(found.noise.sd)} within its row and split, measured with {df}")
    if found.detectable is not None and found.wanted is not None:
        text = f"main effects of {points(found.detectable)}, with a power of {found.power:g} at the 5 % level, each by itself"
        console.print(f"{'finds':<10}{text}")
        console.print(f"{'wanted':<10}{points(found.wanted)} (by --effect, else by the study's `power`, else half of what it finds)")
    for number, one in enumerate(sized, start=1):
        console.print(f"\n{number}. {one.proposal.name}")
        _print_part(console, "why", one.proposal.why)
        added = f"{count(one.rows, 'row')}, {count(one.trials, 'trial')}; of all, {one.done} are done and {one.owed} owed"
        _print_part(console, "adds", added)
        _print_part(console, "time", expected(one.expected_s, known_rates()))
        console.print(f"   {'run':<7}{one.command}", soft_wrap=True)
    if not sized:
        console.print("\nNothing is proposed.")
    if notes:
        console.print("\nNot proposed, and other remarks:" if sized else "")
        for note in notes:
            _print_part(console, "-", note, 2)
    if sized:
        together = "" if any(one.proposal.name == "rows" for one in sized) else " Settings of several proposals may be given together."
        console.print(f"\n{directory}/study.json is the study as it was last run.{together}", soft_wrap=True)
    return buffer.getvalue()


def _print_part(console: Console, heading: str, text: str, width: int = 7) -> None:
    """Print a heading and its text, whose further lines stand below the first."""
    lines = [line for line in console.render_str(text).wrap(console, NARROW - 3 - width)]
    for at, line in enumerate(lines):
        console.print(f"   {heading if at == 0 else '':<{width}}{line.plain.rstrip()}", soft_wrap=True)


def _as_json(directory: Path, plan: Plan, done: int, found: FollowUps, sized: Sequence[Sized], notes: Sequence[str]) -> dict[str, object]:
    return {
        "study": plan.study.study,
        "directory": str(directory),
        "rows": len(plan.design.rows),
        "splits": plan.study.design.splits,
        "trials": len(plan.trials),
        "done": done,
        "noise": {"sd": found.noise.sd, "df": found.noise.df if found.noise.sd is not None else None},
        "detectable": found.detectable,
        "wanted": found.wanted,
        "power": found.power,
        "proposals": [{**asdict(one.proposal), **{key: value for key, value in vars(one).items() if key != "proposal"}} for one in sized],
        "notes": list(notes),
    }
