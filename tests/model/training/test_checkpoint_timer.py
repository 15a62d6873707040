"""When checkpoints are due, by a clock that the test turns."""

from __future__ import annotations

import pytest

from hadamard.model.training.checkpoint_timer import CheckpointTimer


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_checkpoint_is_due_after_the_interval() -> None:
    clock = Clock()
    timer = CheckpointTimer(5.0, clock=clock)
    clock.now_s += 5.0
    assert not timer.is_due
    clock.now_s += 0.1
    assert timer.is_due
    with timer.saving():
        clock.now_s += 0.01
    assert not timer.is_due
    clock.now_s += 5.1
    assert timer.is_due


@pytest.mark.parametrize("save_s", [0.01, 2.0, 60.0])
def test_checkpoints_take_at_most_their_fraction_of_the_time_however_slow_the_disk(save_s: float) -> None:
    clock = Clock()
    timer = CheckpointTimer(0.0, max_fraction=0.1, clock=clock)
    begin_s, saving_s = clock.now_s, 0.0
    for _ in range(10_000):
        clock.now_s += save_s / 7  # an epoch
        if timer.is_due:
            with timer.saving():
                clock.now_s += save_s
            saving_s += save_s
    assert 0.08 < saving_s / (clock.now_s - begin_s) < 0.1
