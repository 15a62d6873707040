"""The contract of launchers: programs that start the ranks of an MPI program. The launchers there are: registry.py."""

from __future__ import annotations

import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

SIGNALS: dict[str | None, int] = {signal.strsignal(number): number for number in signal.valid_signals()}
SIGNALS["Out Of Memory"] = signal.SIGKILL


class Launcher(ABC):
    """A way to start ranks. It builds commands and starts nothing itself."""

    starts_steps: ClassVar[bool]
    """True: it starts a step over the nodes of a Slurm job; False: all ranks on this machine."""
    deaths: ClassVar[re.Pattern[str]]
    """What it prints of a rank that a signal ended, on a line of its own; the group `signal` is the signal's number or its description."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As messages call it."""

    @property
    @abstractmethod
    def fix(self) -> str:
        """What to do where its ranks do not meet."""

    @abstractmethod
    def program(self) -> str:
        """Return the program's path.

        Raises:
            UserError: It cannot be used here; why, and what to do.
        """

    @abstractmethod
    def suits(self, library: str) -> bool:
        """Whether it can start ranks here that load an MPI library, given by what the library says of itself."""

    @abstractmethod
    def command(self, hosts: Sequence[str], job: str | None, words: Sequence[str], threads: int) -> list[str]:
        """Return the command.

        Args:
            hosts: The node of each rank; only their number counts where all ranks are on this machine.
            job: The Slurm job of which they are to be a step; None: no step.
            words: What each of the ranks runs.
            threads: Of each rank.

        Raises:
            UserError: The program is not here.
        """

    def first_signal(self, output: str) -> tuple[int, int] | None:
        """Return where in a launcher's output the first rank that a signal ended is named, and the signal; None if there is none."""
        for death in self.deaths.finditer(output):
            named = death["signal"]
            number = int(named) if named.isdigit() else SIGNALS.get(named)
            if number is not None and number > signal.SIGINT:  # smaller ones are exit codes of ranks that ended by themselves
                return death.start(), int(number)
        return None
