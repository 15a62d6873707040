"""The kind of file system of a path, by a table of mounts as the kernel writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.cluster import file_systems

MOUNTS = """\
22 1 0:21 / / rw - ext4 /dev/sda rw
23 22 0:22 / /scratch rw shared:1 - tmpfs tmpfs rw
24 22 0:23 / /scratch/my\\040files rw - lustre 10.0.0.1@o2ib:/all rw
24 22 0:23 / /scratch/Größe\\134x rw - beegfs beegfs rw
25 22 0:24 / /home rw - autofs auto rw
26 25 0:25 / /home rw - nfs4 server:/home rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/etc", "ext4", False),
        ("/scratch/a", "tmpfs", False),
        ("/scratchy", "ext4", False),
        ("/scratch/my files/b", "lustre", True),
        ("/scratch/Größe\\x/b", "beegfs", True),
        ("/home/me", "nfs4", True),
    ],
)
def test_the_kind_of_a_file_system(path: str, kind: str, shared: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_systems.kind(Path(path), mounts) == kind
    assert file_systems.is_shared(kind) == shared
