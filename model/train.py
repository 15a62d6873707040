"""Trains the trials of one pack: `python -m hadamard.model.train PACK_DIR THREADS RANKS SHARDS`.

Owns the way from each `trial.json` to its `result.json`: what is trained together, what one by one, that a trial's fault stays its own, and
that SIGTERM ends it with everything saved, at the end of the epoch: exit code 76. A second SIGTERM ends it at once. Of several ranks, each
of which is started by this line, the first does all that (model/training/rank_main.py). Knows nothing of Ray, Slurm or MLflow.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from hadamard.model.errors import EXIT_DISK_FULL, EXIT_STOPPED, EXIT_USER_ERROR, StopRequest, UserError, is_disk_full
from hadamard.model.files.atomic import read_json
from hadamard.model.files.phase_log import Phases
from hadamard.model.files.trial_files import PackFiles, TrialFiles
from hadamard.model.heads.base import ClosedFormHead
from hadamard.model.mpi.ranks import ALONE, Ranks
from hadamard.model.representation.embeddings import busy
from hadamard.model.representation.sentences import Sentences, sentences_of
from hadamard.model.training.batch_trainer import BatchTrainer
from hadamard.model.training.trial_run import TrialRun, record_failure, split_wall_time
from hadamard.model.trial import Trial

MOST_TOGETHER = 256
"""Trials trained at once: more gain nothing, and each holds a file open, of which many systems allow 1,024."""


def train_pack(pack_directory: Path, threads: int, should_stop: Callable[[], bool] = lambda: False, ranks: Ranks = ALONE) -> None:
    """Train every trial of the pack that has no result yet: together where they are alike in shape and not named to be trained alone.

    What goes wrong with one trial is recorded as its failure, and the others go on; what cannot be laid at one trial's door, such as too
    little memory, is recorded for all that were being trained.

    Args:
        pack_directory: Holds `pack.json`.
        threads: For the numerical libraries.
        should_stop: Asked between epochs, and before trials are begun.
        ranks: The MPI ranks that this process leads.

    Raises:
        StopRequest: It was told to stop; trials in training are saved, the others not begun.
    """
    torch.set_num_threads(threads)
    pack = PackFiles(pack_directory)
    alone = pack.alone
    groups: dict[str, list[TrialRun]] = {}
    for files in pack.trials:
        if not files.result.exists() and (member := _read(files)):
            groups.setdefault(member.trial.key if files.directory in alone else member.trial.shape, []).append(member)
    teams = [alike[start : start + MOST_TOGETHER] for alike in groups.values() for start in range(0, len(alike), MOST_TOGETHER)]
    phases = Phases(pack_directory)
    try:
        while teams:
            free = next((at for at, team in enumerate(teams) if not busy(team[0].trial)), 0)
            team = teams.pop(free)
            with ExitStack() as locks:
                for member in team:
                    locks.enter_context(member.files.locked())
                _train_alike(
                    [member for member in team if not member.files.result.exists()], pack_directory.name, phases, should_stop, ranks
                )
    finally:
        phases.end()


def _read(files: TrialFiles) -> TrialRun | None:
    """Return the trial, or None if it cannot be read, which is recorded."""
    try:
        return TrialRun(files, Trial.model_validate(read_json(files.trial, "Give the same `hadamard run` again")))
    except Exception as error:
        with files.locked():
            record_failure(files, error)
        return None


def _train_alike(members: Sequence[TrialRun], pack: str, phases: Phases, should_stop: Callable[[], bool], ranks: Ranks) -> None:
    """Train trials of one shape to their results or failures."""
    if not members:
        return
    if should_stop():
        raise StopRequest
    settings = members[0].trial.settings
    for member in members:
        member.start(pack)
    if isinstance(settings.head, ClosedFormHead):
        import hadamard.model.heads.fitted  # noqa: F401, takes longer to import than torch: most packs never need it, and no phase has it
    phases.begin("embedding", [member.files for member in members])
    with _failing(members), _precision(settings.precision):
        sentences = sentences_of(members[0].trial, should_stop)
        begin = time.perf_counter()  # an encoder that was tuned just now is everybody's
        if isinstance(settings.head, ClosedFormHead):
            for member in members:
                if should_stop():
                    raise StopRequest
                with _failing([member]):
                    _fit_classical(member, sentences, phases)
            return
        team = BatchTrainer(members, sentences, phases, should_stop, ranks)
        split_wall_time(members, begin)
        team.fit()
        team.finish()


def _fit_classical(member: TrialRun, sentences: Sentences, phases: Phases) -> None:
    begin, head, split = time.perf_counter(), member.trial.settings.head, sentences.split(member.trial)
    assert isinstance(head, ClosedFormHead)
    rows = [split.train, split.validation, *([split.test] if member.trial.fold is None else [])]
    sides = [(sentences.embeddings[side], sentences.labels[side]) for side in rows]
    phases.begin("training", [member.files])
    fitted = head.fit(*sides[0], member.trial.seed % 2**32)
    phases.begin("inference", [member.files], sum(map(len, rows)))
    scores = [fitted.score(*side) for side in sides]
    phases.pause()
    split_wall_time([member], begin)
    member.finish(scores, fitted.parameters, simulator=None)


@contextmanager
def _failing(members: Sequence[TrialRun]) -> Iterator[None]:
    """Record an exception as the failure of all members that are still open; a full disk, which cannot be recorded, goes on up."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise
        for member in members:
            if member.is_open:
                member.fail(error)


@contextmanager
def _precision(name: str) -> Iterator[None]:
    """Make a precision torch's default: PennyLane rounds to it what it differentiates by the adjoint method."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _stopped_by_sigterm() -> Callable[[], bool]:
    """Have the first SIGTERM set what is returned, and a second one end the process as it ends any."""
    told = threading.Event()

    def tell(*_: object) -> None:
        told.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, tell)
    return told.is_set


def main() -> None:
    """Run as a program; exit code 0: every trial has a result or a recorded failure, 76: it was stopped, and what it had is saved."""
    directory, (threads, ranks, shards) = Path(sys.argv[1]), map(int, sys.argv[2:])
    if ranks == 1:
        code = _exit_code(directory, threads, _stopped_by_sigterm(), ALONE)
    else:
        from hadamard.model.training.rank_main import run_rank  # most packs need nothing of MPI

        code = run_rank(ranks, shards, lambda joined, should_stop: _exit_code(directory, threads, should_stop, joined))
    if code:
        sys.exit(code)


def _exit_code(directory: Path, threads: int, should_stop: Callable[[], bool], ranks: Ranks) -> int:
    """Train a pack, and return how that ended, if in good order."""
    try:
        train_pack(directory, threads, should_stop, ranks)
    except StopRequest:
        return EXIT_STOPPED
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except OSError as error:
        if not is_disk_full(error):
            raise
        print(f"error: no space left on the disk that holds {directory}", file=sys.stderr)
        return EXIT_DISK_FULL
    return 0


if __name__ == "__main__":
    main()
