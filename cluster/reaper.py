"""Tidies up behind a run, also one that was killed: `python -m hadamard.cluster.reaper DIRECTORY`.

The run holds the other end of standard input, which the kernel closes when the run ends in whatever way. Then what still runs out of the
directory is ended, and the directory removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hadamard.cluster.own_processes import own_processes

END_S, ROUNDS = 3.0, 5


@contextmanager
def reaped(directory: Path) -> Iterator[None]:
    """Remove a directory, and end what still runs out of it, at the end of this block or of this process, whichever comes first."""
    reaper = subprocess.Popen(
        [sys.executable, "-m", "hadamard.cluster.reaper", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # signals to the terminal's processes are not for it
    )
    try:
        yield
    finally:
        reaper.communicate()


def reap(directory: Path) -> None:
    """End the processes whose command line names something in a directory, and remove it."""
    import psutil

    for _ in range(ROUNDS):  # what is just starting is seen in the next round
        left = [
            process for process, words in own_processes() if process.pid != os.getpid() and any(f"{directory}/" in word for word in words)
        ]
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, END_S)
        shutil.rmtree(directory, ignore_errors=True)  # files may come while it is emptied
        if not left and not directory.exists():
            return


def main() -> None:
    """Wait for the run's end, deaf to signals that end the run itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    reap(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
