"""Addresses of MLflow: of files with any path, and shown without their passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.orchestrator.tracking.address import sqlite_file, sqlite_uri, without_password
from hadamard.orchestrator.tracking.mlflow_client import create_database


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a?b", "a%20b", "a b", "a#b", "\u00e9 & '\u0022"])
def test_a_database_is_where_its_path_says_whatever_the_path(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    create_database(sqlite_uri(file))
    assert file.exists()
    assert sqlite_file(sqlite_uri(file)) == file
    assert [path.name for path in tmp_path.iterdir()] == [name], "and nothing elsewhere"


def test_a_server_is_no_file() -> None:
    assert sqlite_file("https://mlflow.example.org") is None
    assert sqlite_file("postgresql://me@db/mlflow") is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:s3cret@host:5000/path", "http://me:***@host:5000/path"),
        ("postgresql+psycopg2://me:p%40ss@db/mlflow", "postgresql+psycopg2://me:***@db/mlflow"),
        ("https://:token@host", "https://:***@host"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////tmp/a:b@c/mlflow.db", "sqlite:////tmp/a:b@c/mlflow.db"),
        ("Refused: http://me:x@h/a, then http://you:y@h/b", "Refused: http://me:***@h/a, then http://you:***@h/b"),
    ],
)
def test_a_password_is_never_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown
