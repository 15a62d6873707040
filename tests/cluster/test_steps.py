"""Steps of a Slurm job: their command, and what they must not inherit."""

from __future__ import annotations

from hadamard.cluster.steps import step, step_environment


def test_a_step_shares_what_the_job_has_and_inherits_no_geometry() -> None:
    assert step("7", ["true"], ["--mpi=pmix"]) == ["srun", "--jobid=7", "--overlap", "--mem=0", "--mpi=pmix", "true"]
    inherited = {"SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "7", "SLURM_CONF": "/etc/slurm.conf", "PMI_RANK": "0", "PATH": "/bin"}
    assert set(step_environment(inherited)) == {"SLURM_JOB_ID", "SLURM_CONF", "PATH"}
