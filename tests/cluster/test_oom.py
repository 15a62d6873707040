"""The kernel's count of processes killed for want of memory, in made-up trees of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.cluster.oom import oom_kills

V2_EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
V1_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"


def tree(root: Path, lines: str, **files: str) -> int | None:
    """Return the count in a tree with these files, by path with `__` for `/`, for a process in these groups."""
    mount = root / "cgroup"
    mount.mkdir()
    (root / "process").write_text(lines)
    for path, content in files.items():
        file = mount / path.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return oom_kills(root / "process", mount)


@pytest.mark.parametrize(
    ("lines", "files", "kills"),
    [
        ("0::/slurm/job_7\n", {"slurm__job_7__memory_DOT_events": V2_EVENTS}, 2),
        ("0::/not/mounted/here\n", {"memory_DOT_events": V2_EVENTS}, 2),
        ("9:name=systemd:/\n4:memory:/slurm/job_7\n0::/\n", {"memory__slurm__job_7__memory_DOT_oom_control": V1_CONTROL}, 5),
        ("4:cpu,memory:/elsewhere\n", {"memory__memory_DOT_oom_control": V1_CONTROL}, 5),
        ("4:memory:/old\n", {"memory__old__memory_DOT_oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, None),
        ("3:cpuset:/x\n", {"cpuset__x__memory_DOT_events": V2_EVENTS}, None),
        ("0::/x\n", {}, None),
    ],
    ids=["v2", "v2-in-a-container", "v1", "v1-in-a-container", "v1-before-4.13", "no-memory-group", "nothing-mounted"],
)
def test_the_count_is_found_in_both_versions(tmp_path: Path, lines: str, files: dict[str, str], kills: int | None) -> None:
    assert tree(tmp_path, lines, **files) == kills


def test_without_control_groups_nothing_is_known(tmp_path: Path) -> None:
    assert oom_kills(tmp_path / "none", tmp_path) is None
