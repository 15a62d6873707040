"""Where site profiles are looked for: shell files that say where things are on a cluster.

sweep.sbatch looks in the same directories, in the same order. The profiles of the package are in sites/.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hadamard.model.errors import UserError

PACKAGED = Path(__file__).resolve().parent / "sites"


def site_directories(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the directories of site profiles, the first to look in first: of this project, of this user, of the package."""
    configuration = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    package = Path(environment["HADAMARD_SLURM"]) / "sites" if environment.get("HADAMARD_SLURM") else PACKAGED
    return [Path.cwd() / "sites", configuration / "hadamard" / "sites", package]


def find_site(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the site profile of this name.

    Raises:
        UserError: There is none; the message holds those there are, by directory.
    """
    directories = site_directories(environment)
    for directory in directories:
        if (profile := directory / f"{name}.sh").is_file():
            return profile
    known = "; ".join(f"{directory} has {', '.join(sorted(p.stem for p in directory.glob('*.sh'))) or 'none'}" for directory in directories)
    raise UserError(f"no site profile {name}: {known}. Copy generic.sh to ./sites/{name}.sh, and edit it for your site")
