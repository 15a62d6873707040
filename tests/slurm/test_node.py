"""A node of a job: ports, the `ray start` command, its local directory, orders, its end; without Slurm or Ray."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.model.errors import UserError
from hadamard.slurm import node
from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.ray_start import HEAD_SERVICES, SERVICES, free_ports, port_block, start_command

JOB = {"SLURM_JOB_ID": "4242", "SLURM_RESTART_COUNT": "1"}


def test_jobs_with_neighbouring_ids_share_no_port() -> None:
    blocks = [port_block(str(job)) for job in range(300, 600)]
    assert len({port for block in blocks for port in block}) == sum(map(len, blocks))
    assert all(block.start >= 20_000 and block[-1] < 32_768 for block in blocks)
    assert port_block("7") == port_block("7")


def test_ports_that_are_taken_are_left_out_and_too_few_are_refused() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        assert port not in free_ports(range(port, port + 8), ["a", "b"]).values()
        with pytest.raises(UserError, match=f"1 of the ports {port}-{port} are taken"):
            free_ports(range(port, port + 1), ["a"])


def test_a_head_and_a_worker_are_started_with_what_slurm_gave() -> None:
    allocation = Allocation(cpus=3, memory_bytes=2**31, gpus=2, source="Slurm job 7", nodes=2)
    ports = {name: 20_000 + index for index, name in enumerate((*HEAD_SERVICES, *SERVICES))}
    head = start_command("n1", "7", "10.0.0.1", None, ports, allocation, Path("/tmp/x"), dashboard=True)
    for option in (
        "--head",
        "--block",
        "--port=20000",
        "--dashboard-port=20001",
        "--dashboard-host=127.0.0.1",
        "--num-cpus=3",
        "--num-gpus=2",
    ):
        assert option in head
    assert f"--memory={2**31}" in head
    assert "--temp-dir=/tmp/x" in head
    assert "--include-dashboard=false" in start_command("n1", "7", "10.0.0.1", None, ports, allocation, Path("/tmp/x"), dashboard=False)
    worker = start_command(
        "n2", "7", "10.0.0.2", "10.0.0.1:20000", {name: 20_010 for name in SERVICES}, allocation, Path("/tmp/x"), dashboard=True
    )
    assert "--address=10.0.0.1:20000" in worker
    assert not {"--head", "--port=20010"} & set(worker)


def test_a_node_that_is_not_up_yet_obeys_the_batch_script(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("")
    assert node.order_of(tmp_path) == "stay"
    (tmp_path / "orders").write_text("stop\n")
    with pytest.raises(UserError, match="told to stop"):
        node._wait_for_head(tmp_path)


def test_an_address_is_one_that_other_nodes_can_use() -> None:
    assert node._address("192.0.2.7") == "192.0.2.7"


class Clock:
    """A clock whose sleeps take no time; `at` runs something at a moment."""

    def __init__(self) -> None:
        self.now, self.at = 0.0, dict[float, Callable[[], object]]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [moment for moment in self.at if moment <= self.now]:
            self.at.pop(moment)()


def node_in(tmp_path: Path) -> node.Node:
    made = node.Node("n2", tmp_path / "job", tmp_path / "local")
    made.job.mkdir()
    made.local.mkdir()
    return made


@pytest.fixture
def ray() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process
        process.kill()


def listening() -> tuple[socket.socket, Cluster]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, Cluster("7", 0, f"127.0.0.1:{server.getsockname()[1]}", "n1", None, "token")


def test_a_node_stays_until_it_is_told_to_stop(tmp_path: Path, ray: subprocess.Popen[bytes]) -> None:
    here, clock = node_in(tmp_path), Clock()
    server, cluster = listening()
    clock.at[100.0] = lambda: (here.job / "orders").write_text("stop\n")
    with server:
        assert node.watch(here, ray, cluster, is_head=False, clock=clock) == 0
    assert 100 <= clock.now < 101


def test_a_node_that_leaves_waits_for_its_packs_but_not_for_ever(tmp_path: Path, ray: subprocess.Popen[bytes]) -> None:
    here, clock = node_in(tmp_path), Clock()
    (here.job / "orders").write_text("leave\n")
    (here.local / "packs").mkdir()
    pack = here.local / "packs" / str(ray.pid)
    pack.touch()
    clock.at[7.0] = pack.unlink
    cluster = Cluster("7", 0, "127.0.0.1:1", "n2", None, "token")
    assert node.watch(here, ray, cluster, is_head=True, clock=clock) == 0
    assert 7 <= clock.now < 8
    pack.touch()
    began = clock.now
    assert node.watch(here, ray, cluster, is_head=True, clock=clock) == 0
    assert node.LEAVE_GRACE_S <= clock.now - began + 1e-6 < node.LEAVE_GRACE_S + 1


def test_a_worker_goes_when_the_head_has_not_answered_three_times(tmp_path: Path, ray: subprocess.Popen[bytes]) -> None:
    here, clock = node_in(tmp_path), Clock()
    server, cluster = listening()
    clock.at[60.0] = server.close
    assert node.watch(here, ray, cluster, is_head=False, clock=clock) == 0
    assert 60 + 2 * node.HEAD_CHECK_S < clock.now < 60 + 5 * node.HEAD_CHECK_S


@pytest.mark.parametrize(("is_head", "head_answers", "code"), [(True, True, 1), (False, True, 1), (False, False, 0)])
def test_rays_end_is_a_failure_unless_its_head_has_gone(tmp_path: Path, is_head: bool, head_answers: bool, code: int) -> None:
    server, cluster = listening()
    if not head_answers:
        server.close()
    with subprocess.Popen(["true"]) as ended, server:
        ended.wait()
        assert node.watch(node_in(tmp_path), ended, cluster, is_head, Clock()) == code


def test_a_start_that_fails_is_told_with_the_last_lines_of_ray(tmp_path: Path, ray: subprocess.Popen[bytes]) -> None:
    here, clock = node_in(tmp_path), Clock()
    here.start_log.write_text("one\n")
    clock.at[3.0] = lambda: here.start_log.write_text(f"one\n{node.STARTED}\n")
    node.wait_until_up(here, ray, None, clock)
    assert clock.now >= 3.0
    here.start_log.write_text("one\ntwo\n\nno space left\n")
    ray.kill()
    ray.wait()
    with pytest.raises(UserError, match=r"exit code -9\): one \| two \| no space left"):
        node.wait_until_up(here, ray, None, clock)
    server, gone = listening()
    server.close()
    with pytest.raises(UserError, match="does not answer"):
        node.wait_until_up(here, ray, gone, clock)


def test_what_was_started_is_taken_down_and_its_logs_are_kept(tmp_path: Path, ray: subprocess.Popen[bytes]) -> None:
    here = node_in(tmp_path)
    logs = here.ray / "session_latest" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.out").write_text("end")
    node.take_down(here, ray)
    assert ray.poll() is not None
    assert not here.local.exists()
    assert (here.job / "ray-logs" / "n2" / "raylet.out").read_text() == "end"
