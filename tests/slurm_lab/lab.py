"""A real Slurm cluster of several nodes on one machine, for tests: `python -m tests.slurm_lab.lab up 3`, see USAGE.

Every node is a machine of its own (namespaces.py): IP address, host name, process table, /dev/shm, boot id, scratch disk. All other files
are one, as on a cluster with a shared file system. The host is the login node. Several labs may be up at once, each by its number.

What tests share of it is in conftest.py, studies as jobs in jobs.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.slurm_lab.namespaces import Machine, run, until, why_no_machines

T = TypeVar("T")

USAGE = """\
usage: python -m tests.slurm_lab.lab [-l NUMBER] VERB
  up NODES          start a lab of n1, n2, ...; one that is up is taken down first
  env               print what to export:  eval "$(python -m tests.slurm_lab.lab env)"
  exec NODE CMD...  run a command on a node, in this directory
  crash NODE        cut a node's power: SIGKILL to all its processes
  boot NODE         start it again
  down              leave nothing behind
NUMBER (default 0, up to 99) tells labs apart: lab K lies in /tmp/hlabK and has the addresses 10.78.K.x"""

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter", "setpriv")
PACKAGES = "slurmctld slurmd slurm-client munge libpmix2 iproute2"
CPUS, MEMORY_MB, GPUS = 4, 4000, 2
"""What a node claims to have; none of it need exist."""
CONTROLLER, LOGIN, SWITCH = "ctl", "login", "switch"
LAST_BYTE = {CONTROLLER: "250", LOGIN: "254"}
"""Of addresses; nodes have their number."""
UP_S, ASK_S = 60, 30
CONTROLLER_PORT, NODE_PORT = 6817, 6818
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "BOOT_FAIL", "DEADLINE"}

# Slurm's processes run without systemd and without cgroups: limits are counted and not enforced, GPUs are named and not hidden.
SLURM_CONF = """\
ClusterName=lab
SlurmctldHost={controller}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits as long as the old run's credentials live.
AuthInfo=socket={lab}/munge/socket,cred_expire=10
StateSaveLocation={lab}/state
SlurmdSpoolDir={lab}/spool/%n
SlurmctldPidFile={lab}/state/slurmctld.pid
SlurmdPidFile={lab}/spool/%n/slurmd.pid
TmpFS={lab}/scratch
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU={memory_per_cpu}
GresTypes=gpu
MpiDefault=none
SlurmdParameters=config_overrides
# Listen at the own host's address only.
CommunicationParameters=NoCtldInAddrAny
ReturnToService=2
MailProg=/bin/true
KillWait=5
SlurmdTimeout=15
MinJobAge=3600
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 PriorityTier=10 PreemptMode=OFF
PartitionName=preempt Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE
"""

# Scripts of process 1; their words: $0 the machine's name, $1 the lab's directory, $2 its address. A shell lets what it starts in the
# background ignore Ctrl-C, and jobs would inherit that.
ON_THE_NET = """\
hostname "$0"
ip link set lo up; ip address add "$2/24" dev eth0; ip link set eth0 up
mount --bind "$1/hosts" /etc/hosts
export SLURM_CONF="$1/slurm.conf"
"""
RUN_SWITCH = """\
munged --foreground --force --key-file="$1/munge/key" --socket="$1/munge/socket" --pid-file="$1/munge/pid" \
  --seed-file="$1/munge/seed" --log-file="$1/munge/log" &
"""
RUN_CONTROLLER = ON_THE_NET + "env --default-signal=INT,QUIT slurmctld -D &"
# MPI takes machines of one boot id for one machine.
RUN_NODE = (
    ON_THE_NET
    + """\
mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
mount --bind "$1/nodes/$0/scratch" "$1/scratch"
mount --bind "$1/nodes/$0/boot_id" /proc/sys/kernel/random/boot_id
env --default-signal=INT,QUIT slurmd -D &
"""
)


def why_not() -> str | None:
    """Return why no lab can run on this machine; None if it can."""
    if os.geteuid() != 0:
        return "a Slurm lab needs root"
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"a Slurm lab needs {', '.join(missing)}: apt-get install --no-install-recommends {PACKAGES}"
    return why_no_machines()


@dataclass(frozen=True)
class Lab:
    """The lab of a number, whether up or down; any process may use one that another has started."""

    number: int = 0

    @property
    def directory(self) -> Path:
        """Its place: short, because Unix sockets lie in it."""
        return Path(f"/tmp/hlab{self.number}")

    @property
    def scratch(self) -> Path:
        """The local disk: another one on every node, though its path is the same."""
        return self.directory / "scratch"

    @property
    def environment(self) -> dict[str, str]:
        """What to add to a program's environment, so that it speaks to this cluster, and its jobs know the local disk."""
        return {"SLURM_CONF": f"{self.directory}/slurm.conf", "HADAMARD_SCRATCH": str(self.scratch)}

    @property
    def nodes(self) -> list[str]:
        """Names of all nodes, crashed ones included; none if the lab is down."""
        names = [path.name for path in (self.directory / "nodes").glob("*")]
        return sorted(names, key=lambda name: int(name.removeprefix("n")))

    def is_up(self) -> bool:
        """Tell whether `up` has succeeded, and the machines still run."""
        return (self.directory / "is-up").exists() and self._machine(SWITCH).holder is not None

    # Up and down

    def up(self, nodes: int) -> None:
        """Start a new cluster: job ids count from 1.

        Raises:
            RuntimeError: Something failed, or nodes did not come up; the message holds what the daemons said, and the lab is down again.
        """
        if not 1 <= nodes <= 200:
            raise ValueError(f"a lab has 1 to 200 nodes, not {nodes}")
        self.down()
        try:
            self._write_settings([f"n{k}" for k in range(1, nodes + 1)])
            self._start([SWITCH, CONTROLLER, *self.nodes])
            until(lambda: set(self.node_states().values()) == {"idle"}, UP_S, "nodes of the lab coming up")
        except (RuntimeError, TimeoutError) as error:
            logs = [f"{log.name}: {log.read_text()[-500:]}" for log in sorted((self.directory / "log").iterdir())[:4]]
            self.down()
            raise RuntimeError("\n".join([str(error), *logs])) from error
        except BaseException:
            self.down()
            raise
        (self.directory / "is-up").touch()

    def down(self) -> None:
        """End all its processes, and with them namespaces, mounts and links; remove its files. Also for a lab that a killed run left."""
        machines = [self._machine(record.name) for record in (self.directory / "machines").glob("*")]
        for machine in machines:
            machine.cut_power()
        until(lambda: all([machine.is_gone() for machine in machines]), ASK_S, f"processes of {self.directory} ending")
        subprocess.run(["ip", "link", "delete", self._cable], capture_output=True, check=False)  # the kernel does so too, some time later
        shutil.rmtree(self.directory, ignore_errors=True)

    def crash(self, machine: str) -> None:
        """Cut the power of a node (or of "ctl", Slurm's controller): SIGKILL to all its processes. Slurm calls it down 15 to 30 s later."""
        self._machine(machine).cut_power()
        until(self._machine(machine).is_gone, ASK_S, f"processes of {machine} ending")

    def boot(self, machine: str) -> None:
        """Start a crashed machine again and return once its daemon listens.

        Slurm counts on a node that was down some moments later. One that boots before Slurm found it down leaves its jobs RUNNING: wait for
        its state in `node_states` first.
        """
        self._start([machine])
        port = CONTROLLER_PORT if machine == CONTROLLER else NODE_PORT
        until(partial(_listens, self._address(machine), port), ASK_S, f"boot of {machine}; see {self.directory}/log/{machine}")

    # What runs on nodes

    def run_on(self, node: str, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command on a node, in this directory and environment; `options` are those of subprocess.run."""
        defaults = {"capture_output": True, "text": True, "check": False}
        return subprocess.run(self.command_on(node, command), **{**defaults, "env": self._variables(), **options})  # type: ignore[call-overload, no-any-return]

    def popen_on(self, node: str, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start a command on a node; killing what this returns kills it."""
        return subprocess.Popen(self.command_on(node, command), **{"text": True, "env": self._variables(), **options})  # type: ignore[call-overload, no-any-return]

    def command_on(self, node: str, command: Sequence[str]) -> list[str]:
        """Return the line that runs a command on a node, in this directory."""
        return self._machine(node).command(command, Path.cwd())

    # Jobs

    def ask(self, *command: str) -> str:
        """Run one of Slurm's programs on the login node and return what it says; RuntimeError if it fails."""
        return run(*command, environment=self._variables())

    def submit(self, *arguments: str) -> str:
        """Run sbatch and return the job's id."""
        return self.ask("sbatch", "--parsable", *arguments).strip().partition(";")[0]

    def job(self, job: str) -> dict[str, str]:
        """Return what Slurm knows of a job, by its own names: JobState, Reason, Restarts, NodeList, ExitCode, ..."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job).splitlines()[0].split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def state(self, job: str) -> str:
        """Return a job's state, such as PENDING, RUNNING, COMPLETED."""
        return self.job(job)["JobState"]

    def end_of(self, job: str, seconds: float) -> str:
        """Wait for a job's end and return its last state; a job that is requeued has not ended."""

        def ended() -> str | None:
            state = self.state(job)
            return state if state in ENDED else None

        return self.wait_for(ended, seconds, f"end of job {job}") or ""

    def shorten(self, job: str) -> None:
        """Give a running job a time limit that it reaches in one to two minutes; Slurm counts them whole."""
        days_and_hours, minutes, _seconds = self.job(job)["RunTime"].rsplit(":", 2)
        assert int(days_and_hours) == 0
        self.ask("scontrol", "update", f"JobId={job}", f"TimeLimit={int(minutes) + 2}")

    def wait_for(self, condition: Callable[[], T], seconds: float, what: str) -> T:
        """Wait for a condition and return its first true value; `what` says in an error what was waited for.

        Raises:
            TimeoutError: It took longer; the message says how queue and nodes were then.
        """
        try:
            return until(condition, seconds, what)
        except TimeoutError as error:
            seen = [self.ask("squeue", "--format=%i %j %T %R"), self.ask("sinfo", "--format=%t: %N")]
            raise TimeoutError("\n".join([str(error), *seen])) from None

    def node_states(self) -> dict[str, str]:
        """Return every node's state in Slurm's short words: idle, mix, alloc, comp, down; a star behind it: it does not answer.

        {} while the controller does not answer.
        """
        with contextlib.suppress(RuntimeError):
            lines = self.ask("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %t").splitlines()
            return {node: state for node, state in (line.split() for line in lines)}
        return {}

    def clear(self, nodes: Sequence[str]) -> None:
        """Cancel the jobs that run on these nodes or wait for them, and cut their power: whatever a test has left there ends."""
        for line in self.ask("squeue", "--noheader", "--format=%A|%N|%n").splitlines():
            job, *lists = line.split("|")
            names = [name for names in lists if names for name in self.ask("scontrol", "show", "hostnames", names).split()]
            if set(names) & set(nodes):
                with contextlib.suppress(RuntimeError):  # it has just ended
                    self.ask("scancel", job)
        for node in nodes:
            self.crash(node)

    # How it is made

    @property
    def _cable(self) -> str:
        """The host's end of its cable into the switch."""
        return f"hlab{self.number}"

    def _address(self, machine: str) -> str:
        return f"10.78.{self.number}.{LAST_BYTE.get(machine) or machine.removeprefix('n')}"

    def _machine(self, name: str) -> Machine:
        return Machine(name, self.directory / "machines", self.directory / "log" / name)

    def _variables(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _write_settings(self, nodes: Sequence[str]) -> None:
        lab = self.directory
        for name in ("machines", "log", "state", "spool", "scratch", "munge", "dev", *(f"nodes/{node}/scratch" for node in nodes)):
            (lab / name).mkdir(parents=True)
        (lab / "munge" / "key").write_bytes(os.urandom(128))
        (lab / "munge" / "key").chmod(0o400)
        hosts = {"localhost": "127.0.0.1", **{name: self._address(name) for name in (CONTROLLER, LOGIN, *nodes)}}
        (lab / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
        hardware = f"CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:{GPUS}"
        lines = [f"NodeName={node} NodeAddr={hosts[node]} {hardware}" for node in nodes]
        settings = SLURM_CONF.format(
            controller=f"{CONTROLLER}({hosts[CONTROLLER]})",
            controller_port=CONTROLLER_PORT,
            node_port=NODE_PORT,
            lab=lab,
            memory_per_cpu=MEMORY_MB // CPUS,
        )
        (lab / "slurm.conf").write_text(settings + "\n".join(lines) + "\n")
        for number in range(GPUS):  # Slurm wants character devices whose names end in numbers; these do what /dev/null does
            os.mknod(lab / "dev" / f"nvidia{number}", 0o020666, os.makedev(1, 3))
        (lab / "gres.conf").write_text(f"Name=gpu File={lab}/dev/nvidia[0-{GPUS - 1}]\n")

    def _start(self, names: Sequence[str]) -> None:
        """Start machines, connect them to the switch, and let them begin."""
        if up := [name for name in names if self._machine(name).holder]:
            raise RuntimeError(f"up already: {', '.join(up)}")
        gates = [self._spawn(name) for name in names]
        try:
            self._connect(names)
        finally:  # a machine without a network ends at once
            for gate in gates:
                Machine.release(gate)

    def _spawn(self, name: str) -> int:
        scripts = {SWITCH: RUN_SWITCH, CONTROLLER: RUN_CONTROLLER}
        if name not in scripts:
            (self.directory / "nodes" / name / "boot_id").write_text(f"{uuid.uuid4()}\n")
        return self._machine(name).spawn(scripts.get(name, RUN_NODE), str(self.directory), self._address(name))

    def _connect(self, names: Sequence[str]) -> None:
        """Lay a cable from each machine into the switch, and from the host too if the switch is new."""
        pids = {name: until(partial(_process_1, self._machine(name)), ASK_S, f"start of {name}") for name in (SWITCH, *names)}
        switch_pid = pids.pop(SWITCH)
        ip_in_switch = ["nsenter", f"--target={switch_pid}", "--net", "ip"]
        ports = list(pids)
        if SWITCH in names:
            address = f"{self._address(LOGIN)}/24"
            _batch(ip_in_switch, "link add name bridge type bridge", "link set bridge up")
            _batch(["ip"], f"link add name {self._cable} type veth peer name {LOGIN} netns {switch_pid}")
            _batch(["ip"], f"address add {address} dev {self._cable}", f"link set {self._cable} up")
            ports.append(LOGIN)
        else:
            for name in names:  # after a crash it takes the kernel a moment to pull the old cable out
                subprocess.run([*ip_in_switch, "link", "delete", name], capture_output=True, check=False)
        _batch(ip_in_switch, *(f"link add name {name} type veth peer name eth0 netns {pid}" for name, pid in pids.items()))
        _batch(ip_in_switch, *(f"link set {name} master bridge up" for name in ports))


def _process_1(machine: Machine) -> int | None:
    return machine.process_1


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def _batch(ip: Sequence[str], *lines: str) -> None:
    run(*ip, "-batch", "-", text="\n".join(lines) + "\n")


def main(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run as a program, for use by hand."""
    number, words = (int(words[1]), words[2:]) if words[:1] == ["-l"] else (0, words)
    lab = Lab(number)
    match words:
        case ["up", nodes]:
            if reason := why_not():
                print(reason, file=sys.stderr)
                return 2
            lab.up(int(nodes))
            print(f"{len(lab.nodes)} nodes are up: n1 ... n{nodes}, logs in {lab.directory}/log")
        case ["down"]:
            lab.down()
        case ["env"]:
            print("\n".join(f"export {name}={value}" for name, value in lab.environment.items()))
        case ["crash", node]:
            lab.crash(node)
        case ["boot", node]:
            lab.boot(node)
        case ["exec", node, _, *_]:
            return lab.run_on(node, *words[2:], capture_output=False).returncode
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
