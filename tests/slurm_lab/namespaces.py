"""A machine within the machine: a process 1 with a network, a host name, a process table and mounts of its own, and what runs under it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

OWN = ("--net", "--uts", "--pid", "--mount")
"""Namespaces that a machine does not share with the host; files it shares, but for what it mounts over them."""
LIVE_ON = "sleep infinity & wait"
"""Ends the script of a process 1: it lives, and buries orphans, though every program that it started may die."""


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Return the first true value of a condition that is asked again and again, less often as time goes by: many ask, and Slurm answers.

    Raises:
        TimeoutError: It had none within that time; the message names `what`.
    """
    begin = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - begin
        if waited > seconds:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(min(max(waited / 20, 0.05), 0.5))
    return value


@dataclass(frozen=True)
class Machine:
    """A machine by its name; whoever knows its files may enter or end it, also after the process that started it has gone.

    Attributes:
        name: Its host name.
        records: The directory that says which process holds it, as "PID START_TICKS", in a file by its name.
        log: What its process 1, and all that speaks through it, says.
    """

    name: str
    records: Path
    log: Path

    def spawn(self, script: str, *arguments: str) -> int:
        """Start it; process 1 runs `script` (POSIX shell) once `release` is called with the descriptor that this returns.

        Between the two, its network can be laid from outside.
        """
        waits = f"read -r _ || exit 1\nexec </dev/null\nset -e\n{script}\n{LIVE_ON}"
        command = ["unshare", *OWN, "--fork", "--kill-child", "--mount-proc", "sh", "-c", waits, self.name, *arguments]
        gate, release = os.pipe()
        output = (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        actions = [(os.POSIX_SPAWN_DUP2, gate, 0), output, (os.POSIX_SPAWN_DUP2, 1, 2)]
        # A session of its own: Ctrl-C in the terminal of whoever starts it is no power cut. What he has set is nothing to a machine.
        pid = os.posix_spawnp("unshare", command, {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, file_actions=actions, setsid=True)
        (self.records / self.name).write_text(f"{pid} {_start_ticks(pid)}")
        os.close(gate)
        return release

    @staticmethod
    def release(gate: int) -> None:
        """Let a machine's process 1 begin."""
        os.write(gate, b"\n")
        os.close(gate)

    @property
    def holder(self) -> int | None:
        """The host's id of the process that holds the namespaces from outside; None if the machine is down."""
        with suppress(OSError, ValueError):
            pid, started = map(int, (self.records / self.name).read_text().split())
            if _start_ticks(pid) == started:
                return pid
        return None

    @property
    def process_1(self) -> int | None:
        """The host's id of its process 1; None if the machine is down, or not yet that far."""
        holder = self.holder
        with suppress(OSError, IndexError):
            return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0]) if holder else None
        return None

    def cut_power(self) -> None:
        """Send SIGKILL to every process on it; returns at once, `is_gone` tells when they are gone."""
        if pid := self.process_1 or self.holder:  # with process 1 the kernel ends all others of its table; only then does the holder end
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def is_gone(self) -> bool:
        """Tell whether no process of it is left, and forget it if so."""
        if pid := self.holder:
            with suppress(ChildProcessError):  # another process started it; then that one's, or the host's process 1, buries it
                os.waitpid(pid, os.WNOHANG)
        if self.holder:
            return False
        (self.records / self.name).unlink(missing_ok=True)
        return True

    def command(self, command: Sequence[str], directory: Path) -> list[str]:
        """Return the line that runs a command inside; what it starts ends with the caller's own child, even by SIGKILL.

        Raises:
            ProcessLookupError: The machine is down.
        """
        if not (pid := self.process_1):
            raise ProcessLookupError(f"{self.name} is down")
        return ["nsenter", f"--target={pid}", *OWN, "setpriv", "--pdeathsig=KILL", "env", "-C", str(directory), *command]


def run(*command: str, text: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it says.

    Raises:
        RuntimeError: It failed; the message holds its words.
    """
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:300]}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def why_no_machines() -> str | None:
    """Return why none can be made here; None if they can."""
    links = "ip link add name v0 type veth peer name v1 && ip link add name b type bridge"
    probe = f"hostname probe && mount -t tmpfs tmpfs /dev/shm && {links}"
    try:
        run("unshare", *OWN, "--fork", "--kill-child", "--mount-proc", "sh", "-c", probe)
    except RuntimeError as error:
        return f"namespaces of its own are refused here: {error}"
    return None


def _start_ticks(pid: int) -> int | None:
    """Return when a process was started, in the kernel's ticks since boot: a pid and it mean one process for ever; None for a dead one."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])
