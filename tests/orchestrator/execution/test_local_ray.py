"""The Ray of a run on one machine, seen by another user of that machine: no file, no socket and no port of it is open to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.model.errors import UserError
from hadamard.orchestrator.execution import local_ray
from tests.support.studies import write_study
from tests.support.whole_runs import LONGER, in_training, start, until

STRANGER = 54321
ATTACK = """
import json, os, sys, urllib.error, urllib.request

paths, ports = json.loads(sys.argv[1]), json.loads(sys.argv[2])
opened = [path for path in paths if os.access(path, os.R_OK) or os.access(path, os.W_OK)]
answered = {}
for port in ports:
    for path, data in (("/api/version", None), ("/nodes?view=summary", None), ("/metrics", None), ("/logs", None),
                       ("/api/jobs/", json.dumps({"entrypoint": "id"}).encode())):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
        try:
            answered[f"{port}{path}"] = urllib.request.urlopen(request, timeout=1).status
        except urllib.error.HTTPError as error:
            answered[f"{port}{path}"] = error.code
        except Exception as error:
            answered[f"{port}{path}"] = type(error).__name__
print(json.dumps({"opened": opened, "answered": answered}))
"""
JOIN = """
import signal, sys, ray
signal.alarm(10)  # Ray tries for minutes
ray.init(address=sys.argv[1], log_to_driver=False)
print("joined")
"""


def as_stranger(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as another user, who has this run's files in reach as far as their modes let them."""
    command = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", sys.executable, "-c", *words]
    environment = {"PATH": os.environ["PATH"], "HOME": "/tmp", **local_ray.LOOPBACK_ONLY}
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)


def family(pid: int) -> set[int]:
    """Return a process and all that it has started; Ray's are in sessions of their own."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(os.getuid() != 0, reason="to be another user needs root")
def test_another_user_can_neither_read_nor_write_nor_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {*Path("/tmp").iterdir(), *Path("/dev/shm").iterdir()}
    process = start(write_study(tmp_path, LONGER), tmp_path / "run", "--dashboard")
    try:
        until(lambda: bool(in_training(tmp_path / "run")))
        ours = family(process.pid)
        listening = [one for one in psutil.net_connections("inet") if one.status == psutil.CONN_LISTEN and one.pid in ours]
        assert listening
        assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} <= {"127.0.0.1", "::1"}
        (directory,) = [path for path in Path("/tmp").glob("hd-*") if path not in before]
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "token").stat().st_mode & 0o777 == 0o600
        ports = sorted({one.laddr.port for one in listening})
        kept = [str(path) for path in (directory, *directory.rglob("*"), *({*Path("/dev/shm").iterdir()} - before))]
        assert len(kept) > 50, "sockets, logs, tokens"
        said = as_stranger(ATTACK, json.dumps(kept), json.dumps(ports))
        assert said.returncode == 0, said.stderr
        found = json.loads(said.stdout)
        assert found["opened"] == []
        assert 401 in found["answered"].values(), "the dashboard asks for its token"
        entered = {where: answer for where, answer in found["answered"].items() if isinstance(answer, int) and answer < 400}
        assert {where.partition("/")[2] for where in entered} <= {"api/version"}, entered
        gcs = next(word.partition("=")[2] for pid in ours for word in psutil.Process(pid).cmdline() if word.startswith("--gcs-address="))
        joined = as_stranger(JOIN, gcs)
        assert "joined" not in joined.stdout
        assert "InvalidAuthToken" in joined.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    until(lambda: not {*Path("/tmp").glob("hd-*"), *Path("/dev/shm").iterdir()} - before, 30)


def test_authentication_that_is_switched_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with (
        pytest.raises(UserError, match="RAY_AUTH_MODE=disabled would let anybody on this machine run programs as this user: unset it"),
        local_ray.started(Allocation(1, 2**30, 0, "the test"), dashboard=False),
    ):
        pass
