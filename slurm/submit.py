"""The sbatch command of a study's job: built by a pure function, run by `submit`.

`hadamard submit`, which checks a study first, is in orchestrator/commands/submit.py.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.model.logs import survived

logger = logging.getLogger(__name__)
SCRIPT = Path(__file__).resolve().parent / "sweep.sbatch"  # in a checkout the folders of the package are links


@dataclass(frozen=True)
class SubmitOptions:
    """Options of a job beyond the #SBATCH lines of the script; None leaves such a line, or the site's default, as it is.

    Attributes:
        nodes: Number of nodes.
        time: Time limit in Slurm's notation.
        partition, account, qos: Names of the site.
        cpus_per_node: Cores of each node.
        mem: Memory of each node in Slurm's notation.
        gpus_per_node: [TYPE:]NUMBER for each node.
        job_name: Name that squeue shows.
        logs: Directory of the jobs' logs.
        array: Number of equal jobs to submit at once.
        requeue: Whether Slurm may requeue the job; False overrides the script.
        extra: Further options of sbatch, each `--name=value` or `--name`; they override all others.
        environment: Variables for the job.
    """

    nodes: int | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus_per_node: int | None = None
    mem: str | None = None
    gpus_per_node: str | None = None
    job_name: str | None = None
    logs: Path | None = None
    array: int | None = None
    requeue: bool = True
    extra: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """Return the options of sbatch by their long names without dashes; flags have an empty value.

        Raises:
            UserError: An extra option is not written as `--name=value` or `--name`.
        """
        ours: dict[str, object] = {
            "job-name": self.job_name,
            "nodes": self.nodes,
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "cpus-per-task": self.cpus_per_node,  # the script starts one task on each node
            "mem": self.mem,
            "gpus-per-node": self.gpus_per_node,
            "array": f"1-{self.array}" if self.array else None,
            "output": self._log(),
            "no-requeue": None if self.requeue else "",
        }
        return {name: str(value) for name, value in ours.items() if value is not None} | dict(map(_extra, self.extra))

    def _log(self) -> str | None:
        if self.logs is None:
            return None
        return str(self.logs / "slurm-").replace("%", "%%") + ("%A_%a" if self.array else "%j") + ".log"


def sbatch_command(options: SubmitOptions, script: Path, arguments: Sequence[str], after: str | None = None) -> list[str]:
    """Return the command that submits a study.

    Args:
        options: Options of the job.
        script: The batch script.
        arguments: Arguments of the script: the study and options of `hadamard run`.
        after: Id of a job that must have ended, in whatever state, before this one starts.
    """
    variables = [f"{name}={value}" for name, value in options.environment.items()]
    named = options.named() | ({"dependency": f"afterany:{after}"} if after else {})
    words = [f"--{name}={value}" if value else f"--{name}" for name, value in named.items()]
    return [*(["env", *variables] if variables else []), "sbatch", "--parsable", *words, str(script), *arguments]


def shell_lines(options: SubmitOptions, script: Path, arguments: Sequence[str], logs: Path, jobs: int) -> list[str]:
    """Return the commands that `submit` would run, as lines of a shell script."""
    lines = [f"mkdir -p {shlex.quote(str(logs))}"]
    if jobs == 1:
        return [*lines, shlex.join(sbatch_command(options, script, arguments))]
    for number in range(jobs):
        command = sbatch_command(options, script, arguments, after="JOB" if number else None)
        line = shlex.join(command).replace("--dependency=afterany:JOB ", '"--dependency=afterany:${job%%;*}" ')
        lines.append(f"job=$({line})")
    return lines


def submit(options: SubmitOptions, script: Path, arguments: Sequence[str], logs: Path, jobs: int) -> list[str]:
    """Submit a chain of jobs, each to start when the one before has ended; return their ids.

    Args:
        options: Options of each job.
        script: The batch script.
        arguments: Arguments of the script.
        logs: Directory of the jobs' logs. It is created: without it Slurm ends a job and tells nobody. Each job's command is saved in it.
        jobs: Length of the chain.

    Raises:
        UserError: sbatch refused; the message is sbatch's own, and names the jobs that were submitted before.
    """
    logs.mkdir(parents=True, exist_ok=True)
    ids: list[str] = []
    for _ in range(jobs):
        command = sbatch_command(options, script, arguments, after=ids[-1] if ids else None)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            before = f" Submitted before that, and still there: {' '.join(ids)}" if ids else ""
            raise UserError((done.stderr.strip() or f"sbatch ended with exit code {done.returncode}") + before)
        ids.append(done.stdout.split()[-1].partition(";")[0])  # ID, or ID;CLUSTER
        with survived(logger, f"{logs} cannot be written: `hadamard status` does not know job {ids[-1]} before it begins", OSError):
            (logs / f"{ids[-1]}.sbatch").write_text(shlex.join(command) + "\n")
    return ids


def check_slurm() -> None:
    """Raise a UserError unless sbatch is here."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "no sbatch on PATH: submit from a login node of a Slurm cluster. --dry-run shows the command anywhere, "
            "`hadamard run` runs the study on this machine"
        )


def _extra(option: str) -> tuple[str, str]:
    name, _, value = option.removeprefix("--").partition("=")
    if not option.startswith("--") or not name or any(character.isspace() for character in name):
        raise UserError(f"--sbatch={option}: write an option of sbatch in its long form, such as --sbatch=--constraint=gpu")
    return name, value
