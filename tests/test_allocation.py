"""What an allocation gives, by Slurm's word or the machine's."""

from __future__ import annotations

import os

from cluster.allocation import detect


def test_slurm_decides_inside_a_job() -> None:
    found = detect({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "3", "SLURM_MEM_PER_NODE": "2048"})
    assert (found.cpus, found.memory_bytes, found.source) == (3, 2 * 2**30, "Slurm job 7")
    assert (
        detect({"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_CPU": "1024"}).memory_bytes
        == 2 * 2**30
    )


def test_outside_it_is_what_this_process_may_use() -> None:
    found = detect({})
    assert 1 <= found.cpus <= len(os.sched_getaffinity(0))
    assert 0 < found.memory_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
