"""The command line of `python -m hadamard.model.train`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.errors import EXIT_USER_ERROR
from hadamard.model.train import parse


def test_a_pack_its_threads_and_its_ranks_are_taken() -> None:
    arguments = parse(["packs/1", "3", "4", "2"])
    assert (arguments.pack_dir, arguments.threads, arguments.ranks, arguments.shards) == (Path("packs/1"), 3, 4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: pack_dir, threads, ranks, shards"),
        (["packs/1", "3"], "the following arguments are required: ranks, shards"),
        (["packs/1", "1", "1", "1", "1"], "unrecognized arguments: 1"),
        (["packs/1", "many", "1", "1"], "argument threads: should be a whole number of at least 1, not 'many'"),
        (["packs/1", "1", "0", "1"], "argument ranks: should be a whole number of at least 1, not '0'"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == EXIT_USER_ERROR
    answer = capsys.readouterr().err
    assert answer.startswith("usage: python -m hadamard.model.train")
    assert message in answer
