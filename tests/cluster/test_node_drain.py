"""A pack's word with the node that it runs on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hadamard.cluster.node_drain import NodeDrain


def test_a_node_leaves_when_its_directory_says_so(tmp_path: Path) -> None:
    drain = NodeDrain.here({"HADAMARD_NODE_DIR": str(tmp_path)})
    assert not drain.draining
    (tmp_path / "leaving").touch()
    assert drain.draining


def test_whoever_takes_the_node_down_sees_the_pack_until_it_has_saved_its_work(tmp_path: Path) -> None:
    def fail() -> None:
        with NodeDrain(tmp_path).using():
            seen.extend(path.name for path in (tmp_path / "packs").iterdir())
            raise OSError("an error")

    seen: list[str] = []
    with pytest.raises(OSError, match="an error"):
        fail()
    assert seen == [str(os.getpid())]
    assert not list((tmp_path / "packs").iterdir())


def test_outside_a_job_and_after_the_node_is_cleared_nobody_waits(tmp_path: Path) -> None:
    assert not NodeDrain.here({}).draining
    for drain in (NodeDrain.here({}), NodeDrain(tmp_path / "cleared")):
        with drain.using():
            pass
    assert not (tmp_path / "cleared").exists()
