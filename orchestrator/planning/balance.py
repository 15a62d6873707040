"""The distribution of work over processes: groups of trials, longest first, each to the process with the least work that has memory.

Which groups there are, and what becomes of the processes, is in `packs.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hadamard.model.trial import Trial


@dataclass(frozen=True)
class TrialGroup:
    """Trials of one shape, trained together.

    Attributes:
        trials: One or more.
        shape: See `Trial.shape`.
        part: The part of a run's time that their training belongs to, see `machine_rates.py`.
        work_s: Expected seconds of training and evaluation; None where no rate is known.
        state_bytes: Memory of all their states and parameters.
        tuning_bytes: Memory for a sentence encoder that is tuned in their process, before they train.
    """

    trials: tuple[Trial, ...]
    shape: str
    part: str
    work_s: float | None
    state_bytes: int
    tuning_bytes: int


class Process:
    """The groups that one process trains, with their work and memory as running sums.

    Groups of one shape train together, so that their states add up; shapes train one after the other.
    """

    def __init__(self, groups: Iterable[TrialGroup] = ()) -> None:
        self.groups: list[TrialGroup] = []
        self.work_s: float | None = 0.0
        self._bytes_of_shape: dict[str, int] = {}
        self._largest_shape_bytes = 0
        self._tuning_bytes = 0
        for group in groups:
            self.add(group)

    @property
    def memory_bytes(self) -> int:
        """What the largest shape needs, and a sentence encoder that is tuned."""
        return self._largest_shape_bytes + self._tuning_bytes

    def has_room(self, group: TrialGroup, memory_bytes: int) -> bool:
        """Whether a group fits the memory together with those that are here; an empty process takes any."""
        shape_bytes = self._bytes_of_shape.get(group.shape, 0) + group.state_bytes
        return not self.groups or (
            max(self._largest_shape_bytes, shape_bytes) + max(self._tuning_bytes, group.tuning_bytes) <= memory_bytes
        )

    def add(self, group: TrialGroup) -> None:
        """Have the process train a group."""
        self.groups.append(group)
        self.work_s = None if self.work_s is None or group.work_s is None else self.work_s + group.work_s
        self._bytes_of_shape[group.shape] = self._bytes_of_shape.get(group.shape, 0) + group.state_bytes
        self._largest_shape_bytes = max(self._largest_shape_bytes, self._bytes_of_shape[group.shape])
        self._tuning_bytes = max(self._tuning_bytes, group.tuning_bytes)


def balance(groups: Sequence[TrialGroup], processes: int, memory_bytes: int) -> list[Process]:
    """Distribute groups over processes, those with most work first, each to the process with the least work that has memory for it.

    Args:
        groups: All with a known `work_s`.
        processes: How many there are at first; where none has memory for a group, one more is added.
        memory_bytes: For the states of a process; a group by itself may need more.
    """
    all_processes = [Process() for _ in range(min(len(groups), processes))]
    by_work = [(0.0, number) for number in range(len(all_processes))]  # a heap: of equal work, the first process
    full: list[tuple[float, int]] = []
    previous: tuple[str, int, int] | None = None
    for group in sorted(groups, key=lambda group: -(group.work_s or 0.0)):
        need = (group.shape, group.state_bytes, group.tuning_bytes)
        if need != previous:  # processes only fill up, so one without room for a group has none for the next of the same need
            for entry in full:
                heapq.heappush(by_work, entry)
            full, previous = [], need
        while by_work and not all_processes[by_work[0][1]].has_room(group, memory_bytes):
            full.append(heapq.heappop(by_work))
        if not by_work:
            by_work.append((0.0, len(all_processes)))
            all_processes.append(Process())
        work_s, number = by_work[0]
        all_processes[number].add(group)
        heapq.heapreplace(by_work, (work_s + (group.work_s or 0.0), number))
    return all_processes
