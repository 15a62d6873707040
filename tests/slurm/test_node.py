"""What a node of a job is told to start: ports, the line, its own directory, orders; without Slurm or Ray."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hadamard.cluster.allocation import Allocation
from hadamard.model.errors import UserError
from hadamard.slurm import node
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


def test_a_path_too_long_for_sockets_is_refused_with_the_way_out(tmp_path: Path) -> None:
    assert node.local_directory("n1", {**JOB, "HADAMARD_SCRATCH": "/tmp"}) == Path("/tmp/hd-4242-1-n1")
    with pytest.raises(UserError, match="too long by .* Set HADAMARD_SCRATCH"):
        node.local_directory("n1", {**JOB, "HADAMARD_SCRATCH": f"/tmp/{'x' * 40}"})


def test_a_node_that_is_not_up_yet_obeys_the_batch_script(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text("")
    assert node.order_of(tmp_path) == "stay"
    (tmp_path / "orders").write_text("stop\n")
    with pytest.raises(UserError, match="told to stop"):
        node._wait_for_head(tmp_path)


def test_an_address_is_one_that_other_nodes_can_use() -> None:
    assert node._address("192.0.2.7") == "192.0.2.7"
