"""`hadamard augment`: follow-up designs with their reason, size, expected time and command; it writes and runs nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hadamard.cluster.allocation import Allocation, detect
from hadamard.orchestrator.commands.augment.known import Proposal
from hadamard.orchestrator.commands.augment.proposals import follow_ups
from hadamard.orchestrator.commands.render import Result, note, pairs, render
from hadamard.orchestrator.formats import count, points
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.planning.cost_estimate import estimate_run
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import Rates, known_rates
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.planning.words import expected_time
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.file import StudyError


class SizedProposal(Result):
    """A follow-up design and its size."""

    name: str
    why: str
    settings: tuple[str, ...]
    """As `--set` takes them."""
    rows: int
    """Added to the design."""
    trials: int
    """Added to the study, those of baselines among them."""
    done: int
    """Of all trials it then has."""
    owed: int
    expected_s: float | None
    """For the owed trials, on this machine; None where no rate was measured."""
    expected: str
    """The same in words."""
    command: str


class Noise(Result):
    """Standard deviation of one trial's accuracy within its row and split, and its degrees of freedom; None where not measured."""

    sd: float | None
    df: float | None


class AugmentResult(Result):
    """What a study could do next; effects and deviations are in accuracy (0.01 is one point)."""

    study: str
    directory: str
    design: str
    rows: int
    splits: int
    trials: int
    done: int
    noise: Noise
    detectable: float | None
    """Largest of the smallest main effects that are found with the wanted power when all owed trials are done."""
    wanted: float | None
    """The effect that should be found."""
    power: float
    proposals: tuple[SizedProposal, ...]
    notes: tuple[str, ...]
    """What is not proposed, and why not."""


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
    return render(augmented(directory, None if wanted_points is None else wanted_points / 100, power), _lines, as_json)


def augmented(directory: Path, wanted: float | None, power: float | None) -> AugmentResult:
    """Return follow-up designs for a study's directory; `wanted` is in accuracy, else as for `show_follow_ups`."""
    ledger, plan = reopen(directory)
    records = ledger.records(plan.trials)
    proposed = follow_ups(plan, records, wanted, power)
    done, allocation, rates = sum(record.status == "done" for record in records), detect(), known_rates()
    answers = [_sized(ledger, plan, proposal, allocation, rates) for proposal in proposed.proposals]
    sized = [answer for answer in answers if isinstance(answer, SizedProposal)]
    notes = [*proposed.notes, *(answer for answer in answers if isinstance(answer, str))]
    if lost := done - _kept(ledger, sized):
        notes.append(
            f"{lost} of the {count(done, 'finished trial')} would be done again: corpus, sentence encoder or the code that decides results "
            "have changed since."
        )
    return AugmentResult(
        study=plan.study.study,
        directory=str(directory),
        design=plan.design.kind,
        rows=len(plan.design.rows),
        splits=plan.study.design.splits,
        trials=len(plan.trials),
        done=done,
        noise=Noise(sd=proposed.noise.sd, df=proposed.noise.df if proposed.noise.sd is not None else None),
        detectable=proposed.detectable,
        wanted=proposed.wanted,
        power=proposed.power,
        proposals=tuple(sized),
        notes=tuple(notes),
    )


def _sized(ledger: Ledger, now: Plan, proposal: Proposal, allocation: Allocation, rates: Rates) -> SizedProposal | str:
    """Return a proposal with its size, or why it cannot be run here: planned from the very file and settings of its command."""
    try:
        plan = read_plan(ledger.study_file, proposal.settings)
        records = ledger.records(plan.trials)
        packs = pack_up([record.trial for record in records if record.owed], allocation, rates)
        check_feasible(packs, allocation)
    except StudyError as error:
        return f"{proposal.name}: {error.problems[0].message}"
    expected_s = estimate_run(packs, allocation, rates).wall_s
    return SizedProposal(
        name=proposal.name,
        why=proposal.why,
        settings=proposal.settings,
        rows=len(plan.design.rows) - len(now.design.rows),
        trials=len(plan.trials) - len(now.trials),
        done=sum(record.status == "done" for record in records),
        owed=sum(record.owed for record in records),
        expected_s=expected_s,
        expected=expected_time(expected_s, rates),
        command=_command(ledger, proposal.settings),
    )


def _command(ledger: Ledger, settings: Sequence[str]) -> str:
    """Return the command that runs the study as it was last run, with these settings changed."""
    changes = [word for setting in settings for word in ("--set", setting)]
    return shlex.join(["hadamard", "run", str(ledger.study_file), "--dir", str(ledger.directory), *changes])


def _kept(ledger: Ledger, sized: Sequence[SizedProposal]) -> int:
    """Return how many finished trials a proposal keeps."""
    if sized:
        return min(proposal.done for proposal in sized)
    return sum(record.status == "done" for record in ledger.records(read_plan(ledger.study_file, ()).trials))


def _lines(result: AugmentResult) -> Iterator[str]:
    size = f"{count(result.rows, 'row')} x {count(result.splits, 'split')}"
    yield f"{result.study} in {result.directory}: {result.design}, {size}; {result.done} of {result.trials} trials are done"
    if result.noise.sd is not None:
        df = f"{result.noise.df:.3g} degrees of freedom"
        yield from pairs([("noise", f"one trial scatters by {points(result.noise.sd)} within its row and split, measured with {df}")])
    if result.detectable is not None and result.wanted is not None:
        finds = f"main effects of {points(result.detectable)}, with a power of {result.power:g} at the 5 % level, each by itself"
        wanted = f"{points(result.wanted)} (by --effect, else by the study's `power`, else half of what it finds)"
        yield from pairs([("finds", finds), ("wanted", wanted)])
    for number, proposal in enumerate(result.proposals, start=1):
        yield from ("", f"{number}. {proposal.name}", *note("why", proposal.why, 7))
        total = f"of all, {proposal.done} are done and {proposal.owed} owed"
        yield from note("adds", f"{count(proposal.rows, 'row')}, {count(proposal.trials, 'trial')}; {total}", 7)
        yield from note("time", proposal.expected, 7)
        yield f"   run    {proposal.command}"
    if not result.proposals:
        yield from ("", "Nothing is proposed.")
    if result.notes:
        yield from ("", *(["Not proposed, and other remarks:"] if result.proposals else []))
        yield from (line for remark in result.notes for line in note("-", remark, 2))
    if result.proposals:
        rows = any(proposal.name == "rows" for proposal in result.proposals)
        together = "" if rows else " Settings of several proposals may be given together."
        yield from ("", f"{result.directory}/study.json is the study as it was last run.{together}")
