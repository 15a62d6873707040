"""A thread that does something again and again."""

from __future__ import annotations

import threading

from hadamard.cluster.periodic import Periodic


def test_it_calls_until_it_is_stopped() -> None:
    called = threading.Semaphore(0)
    with Periodic("test", 0.001, called.release) as periodic:
        assert all(called.acquire(timeout=10) for _ in range(3))
        assert not periodic.stopping
    assert periodic.stopping
    while called.acquire(blocking=False):
        pass
    assert not called.acquire(timeout=0.05), "nothing is called any more"


def test_work_that_has_begun_is_waited_for_until_the_timeout() -> None:
    begun, free = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(10)

    periodic = Periodic("test", 0.001, work).start()
    assert begun.wait(10)
    assert not periodic.stop(timeout_s=0.01)
    free.set()
    assert periodic.stop(timeout_s=10)


def test_stopping_from_inside_does_not_wait_for_itself() -> None:
    done = threading.Event()

    def work() -> None:
        periodic.stop()
        done.set()

    periodic = Periodic("test", 0.001, work).start()
    assert done.wait(10)
