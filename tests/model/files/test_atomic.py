"""Locks that several users share, and places that cannot be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hadamard.model.files.atomic import locked, open_lock, why_not_writable


def test_the_lock_file_of_another_user_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, real = tmp_path / "lock", os.open
    lock.touch(mode=0o444)

    def by_its_mode(path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", by_its_mode)
    with open_lock(lock) as mine:
        assert locked(mine, wait=False)
        with open_lock(lock) as other:
            assert not locked(other, wait=False)


def test_a_lock_that_leads_elsewhere_is_not_followed_and_nothing_is_emptied(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic link"):
        open_lock(tmp_path / "lock")
    (tmp_path / "other").write_text("kept, too")
    open_lock(tmp_path / "other").close()
    assert (precious.read_text(), (tmp_path / "other").read_text()) == ("kept", "kept, too")


def test_a_link_to_what_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("/nowhere/gone")
    for directory in (tmp_path / "runs", tmp_path / "runs" / "study"):
        assert why_not_writable(directory) == f"{tmp_path}/runs is a link to /nowhere/gone, which is not there"
    (tmp_path / "good").symlink_to(tmp_path)
    assert why_not_writable(tmp_path / "good" / "study") is None
