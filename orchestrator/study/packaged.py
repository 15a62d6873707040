"""The files of `configs/` that are installed with Hadamard: studies that are found by name, and other inputs.

Reading a study file is in file.py.
"""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
"""Of a checkout, or of the installed package."""
INPUTS = "energy"
"""Folder of `configs/` whose files are inputs of `hadamard energy`, not studies."""


def packaged_studies() -> dict[str, Path]:
    """Return the packaged study files by name, such as `quickstart` or `paper/ablation`."""
    names = {path.relative_to(CONFIGS).with_suffix("").as_posix(): path for path in sorted(CONFIGS.rglob("*.yaml"))}
    return {name: path for name, path in names.items() if not name.startswith(f"{INPUTS}/")}


def study_path(path: Path) -> Path:
    """Return the study file that a user means: the file of that path, else the packaged study of that name, else the path as it is."""
    return path if path.is_file() else packaged_studies().get(path.as_posix(), path)


def packaged_input(name: str) -> Path:
    """Return where an input file of `configs/` is, such as `energy/qpu.yaml`; an absent file is not checked here."""
    return CONFIGS / name
