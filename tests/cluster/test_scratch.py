"""Ray's place on a node's own disk: the site's choice, short enough for sockets, with room, and closed to others."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.cluster import scratch as module
from hadamard.cluster.scratch import LONGEST_SOCKET, SOCKET_BELOW, check_length, make_private, new_private, scratch
from hadamard.model.errors import UserError


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("default", Path("/tmp"))),
        ({"SLURM_TMPDIR": "/local/17"}, ("$SLURM_TMPDIR", Path("/local/17"))),
        ({"SLURM_TMPDIR": "/local/17", "HADAMARD_SCRATCH": "/nvme"}, ("$HADAMARD_SCRATCH", Path("/nvme"))),
        ({"HADAMARD_SCRATCH": "", "SLURM_TMPDIR": ""}, ("default", Path("/tmp"))),
    ],
)
def test_the_site_profile_comes_before_slurm(environment: dict[str, str], expected: tuple[str, Path]) -> None:
    assert scratch(environment) == expected


def test_a_path_that_leaves_no_room_for_sockets_is_refused_by_the_characters_it_is_too_long() -> None:
    fits = "/" + "s" * (LONGEST_SOCKET - SOCKET_BELOW - 1)
    check_length(Path(fits))
    with pytest.raises(UserError, match=r"too long by 3 characters.*Set HADAMARD_SCRATCH to a shorter directory"):
        check_length(Path(f"{fits}abc"))


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a path short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="hs", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_a_private_directory_is_private_whatever_the_umask(short: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_private(short / "one")
        new = new_private({"HADAMARD_SCRATCH": str(short)})
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (short / "one", new)] == [0o700, 0o700]
    make_private(short / "one")  # it is this user's own


def test_what_others_could_enter_or_exchange_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o770)
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "file").touch()
    for name in ("open", "link", "file"):
        with pytest.raises(UserError, match=rf"/{name} is there already, and not a directory of this user's own.*HADAMARD_SCRATCH"):
            make_private(tmp_path / name)
    if os.getuid() == 0:
        os.chown(tmp_path / "own", 12345, 12345)
        with pytest.raises(UserError, match="own is there already"):
            make_private(tmp_path / "own")


def test_a_place_without_room_or_that_is_not_there_is_named(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=rf"{short}/none \(\$HADAMARD_SCRATCH\).*No such file.*HADAMARD_SCRATCH"):
        new_private({"HADAMARD_SCRATCH": f"{short}/none"})
    full = shutil.disk_usage(short)._replace(free=16 * 2**10)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: full)
    with pytest.raises(UserError, match=rf"{short} .* has 0 MiB free: Ray needs 64.*HADAMARD_SCRATCH"):
        new_private({"HADAMARD_SCRATCH": str(short)})
    assert not list(short.iterdir())
