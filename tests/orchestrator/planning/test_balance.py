"""The distribution of groups over processes: as one that looks at every process for every group, in time that grows with the groups."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadamard.orchestrator.planning.balance import Process, TrialGroup, balance

GROUPS = st.lists(
    st.builds(
        TrialGroup,
        trials=st.just(()),
        shape=st.sampled_from("abc"),
        part=st.just("fused"),
        work_s=st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(0, 100)),
        state_bytes=st.integers(0, 10),
        tuning_bytes=st.sampled_from([0, 0, 4]),
    ),
    max_size=30,
)


def memory_bytes_of(groups: list[TrialGroup]) -> int:
    of_shape = {shape: sum(group.state_bytes for group in groups if group.shape == shape) for shape in "abc"}
    return max(of_shape.values()) + max(group.tuning_bytes for group in groups)


def by_looking_at_all(groups: list[TrialGroup], processes: int, memory_bytes: int) -> list[list[TrialGroup]]:
    """Return what `balance` is to give: every group is put where there is least work, after a look at all groups of all processes."""
    dealt: list[list[TrialGroup]] = [[] for _ in range(min(len(groups), processes))]
    for group in sorted(groups, key=lambda group: -(group.work_s or 0.0)):
        with_room = [process for process in dealt if not process or memory_bytes_of([*process, group]) <= memory_bytes]
        if not with_room:
            with_room = [[]]
            dealt += with_room
        min(with_room, key=lambda process: sum(other.work_s or 0.0 for other in process)).append(group)
    return dealt


@given(groups=GROUPS, processes=st.integers(1, 8), memory_bytes=st.integers(0, 30))
def test_each_group_goes_to_the_process_with_the_least_work_that_has_room(
    groups: list[TrialGroup], processes: int, memory_bytes: int
) -> None:
    balanced = balance(groups, processes, memory_bytes)
    assert [process.groups for process in balanced] == by_looking_at_all(groups, processes, memory_bytes)
    for process in balanced:
        assert process.work_s == sum(group.work_s or 0.0 for group in process.groups)
        assert process.memory_bytes == (memory_bytes_of(process.groups) if process.groups else 0)


def test_the_work_of_a_process_is_unknown_if_that_of_any_group_is() -> None:
    known, unknown = (TrialGroup((), "a", "fused", work_s, 1, 0) for work_s in (1.0, None))
    assert Process([known, unknown, known]).work_s is None


@pytest.mark.parametrize(("shapes", "memory_bytes"), [(50, 1000), (1, 10)], ids=["room for all", "each group fills a process"])
def test_time_grows_with_the_number_of_groups(shapes: int, memory_bytes: int) -> None:
    def seconds(count: int) -> float:
        groups = [TrialGroup((), f"shape {number % shapes}", "fused", 1.0 + number % 7, 10, 0) for number in range(count)]
        began = time.process_time()
        balance(groups, count // 4, memory_bytes)
        return time.process_time() - began

    few, many = (min(seconds(count) for _ in range(3)) for count in (2_000, 20_000))
    assert many < 30 * few
