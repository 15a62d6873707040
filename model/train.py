"""Trains the trials of one pack: `python -m hadamard.model.train PACK_DIR THREADS RANKS SHARDS`.

Reads each `trial.json` and writes its `result.json`. Trials of one shape are trained together, and a fault of one trial is recorded as its
own. The first SIGTERM ends training after the current epoch with everything saved, exit code 76; a second one ends it at once. Of several
MPI ranks, each started by this command, rank 0 does all that (model/training/rank_main.py). Knows nothing of Ray, Slurm or MLflow.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from hadamard.model.errors import EXIT_DISK_FULL, EXIT_STOPPED, EXIT_USER_ERROR, StopRequest, UserError, is_disk_full
from hadamard.model.files.atomic import read_json
from hadamard.model.files.phase_log import Phases
from hadamard.model.files.trial_files import PackFiles, TrialFiles
from hadamard.model.heads.base import ClosedFormHead
from hadamard.model.mpi.ranks import ALONE, Ranks
from hadamard.model.representation.embedded_corpus import EmbeddedCorpus, load_embedded_corpus
from hadamard.model.representation.embeddings import tuned_elsewhere
from hadamard.model.training.batch_trainer import BatchTrainer
from hadamard.model.training.checkpoint_timer import CheckpointTimer
from hadamard.model.training.trial_run import TrialRun, record_failure, split_wall_time
from hadamard.model.trial import Trial

MAX_GROUP = 256
"""Trials trained together: more bring no gain, and each holds a file open, of which many systems allow 1,024."""


def train_pack(
    pack_directory: Path,
    should_stop: Callable[[], bool] = lambda: False,
    ranks: Ranks = ALONE,
    new_timer: Callable[[], CheckpointTimer] = CheckpointTimer,
) -> None:
    """Train every trial of a pack that has no result yet.

    An error of one trial is recorded as its failure, and the others continue; an error that is no single trial's, such as a lack of
    memory, is recorded for all that were being trained.

    Args:
        pack_directory: Holds `pack.json`.
        should_stop: Checked between epochs, and before trials are started.
        ranks: The MPI ranks that this process leads.
        new_timer: Returns the timer of a group's checkpoints.

    Raises:
        StopRequest: A stop was requested; trials in training are saved, the others are not started.
    """
    pack = PackFiles(pack_directory)
    runs = [run for files in pack.trials if not files.result.exists() and (run := _read(files))]
    groups = group_runs(runs, pack.alone)
    phases = Phases(pack_directory)
    try:
        while groups:
            group = groups.pop(next((index for index, runs in enumerate(groups) if not tuned_elsewhere(runs[0].trial)), 0))
            with ExitStack() as locks:
                for run in group:
                    locks.enter_context(run.files.locked())
                unfinished = [run for run in group if not run.files.result.exists()]
                _train_group(unfinished, pack_directory.name, phases, should_stop, ranks, new_timer)
    finally:
        phases.end()


def group_runs(runs: Sequence[TrialRun], alone: Collection[Path], max_size: int = MAX_GROUP) -> list[list[TrialRun]]:
    """Return groups of runs to train together, each of one shape and of at most `max_size` runs.

    Args:
        runs: In order.
        alone: Directories of trials that are each trained by themselves.
        max_size: Of a group.
    """
    by_shape: dict[str, list[TrialRun]] = {}
    for run in runs:
        by_shape.setdefault(run.trial.key if run.files.directory in alone else run.trial.shape, []).append(run)
    return [alike[start : start + max_size] for alike in by_shape.values() for start in range(0, len(alike), max_size)]


def _read(files: TrialFiles) -> TrialRun | None:
    """Return a trial's run; None if the trial cannot be read, which is recorded as its failure."""
    try:
        return TrialRun(files, Trial.model_validate(read_json(files.trial, "Give the same `hadamard run` again")))
    except Exception as error:
        with files.locked():
            record_failure(files, error)
        return None


def _train_group(
    runs: Sequence[TrialRun],
    pack: str,
    phases: Phases,
    should_stop: Callable[[], bool],
    ranks: Ranks,
    new_timer: Callable[[], CheckpointTimer],
) -> None:
    """Train runs of one shape to their results or failures."""
    if not runs:
        return
    if should_stop():
        raise StopRequest
    settings = runs[0].trial.settings
    for run in runs:
        run.start(pack)
    if isinstance(settings.head, ClosedFormHead):
        import hadamard.model.heads.fitted  # noqa: F401, takes longer to import than torch: most packs do not need it, and no phase includes it
    phases.begin("embedding", [run.files for run in runs])
    with _recording_failures(runs), _default_precision(settings.precision):
        corpus = load_embedded_corpus(runs[0].trial, should_stop)
        begin = time.perf_counter()  # the time of tuning an encoder is no trial's own
        if isinstance(settings.head, ClosedFormHead):
            for run in runs:
                if should_stop():
                    raise StopRequest
                with _recording_failures([run]):
                    _fit_closed_form(run, corpus, phases)
            return
        trainer = BatchTrainer(runs, corpus, phases, should_stop, ranks, new_timer())
        split_wall_time(runs, begin)
        trainer.fit()
        trainer.finish()


def _fit_closed_form(run: TrialRun, corpus: EmbeddedCorpus, phases: Phases) -> None:
    begin, head, split = time.perf_counter(), run.trial.settings.head, corpus.split(run.trial)
    assert isinstance(head, ClosedFormHead)
    sets = [split.train, split.validation, *([split.test] if run.trial.fold is None else [])]
    inputs = [(corpus.embeddings[rows], corpus.labels[rows]) for rows in sets]
    phases.begin("training", [run.files])
    fitted = head.fit(*inputs[0], run.trial.seed % 2**32)
    phases.begin("inference", [run.files], sum(map(len, sets)))
    scores = [fitted.score(*of_set) for of_set in inputs]
    phases.pause()
    split_wall_time([run], begin)
    run.finish(scores, fitted.parameters, simulator=None)


@contextmanager
def _recording_failures(runs: Sequence[TrialRun]) -> Iterator[None]:
    """Record an exception as the failure of all runs that are still open; a full disk, on which nothing can be recorded, is raised."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise
        for run in runs:
            if run.is_open:
                run.fail(error)


@contextmanager
def _default_precision(name: str) -> Iterator[None]:
    """Make a precision torch's default: PennyLane rounds the results of adjoint differentiation to it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def stop_on_sigterm() -> Callable[[], bool]:
    """Let the first SIGTERM request a stop, and a second one end the process; return a function that says whether a stop is requested."""
    requested = threading.Event()

    def handle(*_: object) -> None:
        requested.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)
    return requested.is_set


def main() -> None:
    """Train a pack; exit code 0: every trial has a result or a recorded failure, 76: stopped on request, with everything saved."""
    arguments = parse(sys.argv[1:])
    directory = arguments.pack_dir
    torch.set_num_threads(arguments.threads)
    if arguments.ranks == 1:
        code = _exit_code(directory, stop_on_sigterm(), ALONE)
    else:
        from hadamard.model.training.rank_main import run_rank  # most packs need no MPI

        code = run_rank(arguments.ranks, arguments.shards, lambda joined, should_stop: _exit_code(directory, should_stop, joined))
    if code:
        sys.exit(code)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says; one that is wrong prints how it should be and ends the process with exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m hadamard.model.train", description="Train the trials of one pack.")
    parser.add_argument("pack_dir", type=Path, help="directory that holds pack.json")
    for name, help_text in (
        ("threads", "threads of each process"),
        ("ranks", "MPI ranks that train the pack together; 1: this process alone"),
        ("shards", "ranks that share each state"),
    ):
        parser.add_argument(name, type=_positive, help=help_text)
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"should be a whole number of at least 1, not {text!r}")
    return int(text)


def _exit_code(directory: Path, should_stop: Callable[[], bool], ranks: Ranks) -> int:
    """Train a pack; return the exit code that says how that ended."""
    try:
        train_pack(directory, should_stop, ranks)
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
