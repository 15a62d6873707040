"""`python -m benchmarks.peers`: options and exit codes; 0 all numbers are right, 1 some are wrong, 2 bad input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.peers import show
from benchmarks.peers.comparison import compare
from benchmarks.peers.contestants import chosen
from hadamard.model.errors import EXIT_USER_ERROR, UserError
from hadamard.orchestrator.timing.options import names_in, say, sizes_in


def main(
    qubits: Annotated[str, typer.Option(metavar="6,8,..", help="Sizes.")] = "6,8,10,12,14",
    batch: Annotated[int, typer.Option(min=1, help="Rows of a batch.")] = 32,
    simulators: Annotated[str, typer.Option(metavar="A,B,..", help="Which ones. Default: ours and all peers.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of each simulator.")] = 1,
    limit_s: Annotated[float, typer.Option(min=0.1, help="Seconds that a simulator's first step may take at a size.")] = 60.0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the picture is written.")] = Path("runs/bench"),
    study: Annotated[
        Path | None, typer.Option(metavar="STUDY", help="Instead: trials per hour of this study, ours and by Ray Tune and lightning.qubit.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="With --study: change a setting.")] = None,
    budget_s: Annotated[float, typer.Option(min=1, help="With --study: seconds to measure each way.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Time our simulators and their peers on the paper's head: forward and gradient. Wrong numbers get no time."""
    if study is not None:
        from benchmarks.peers.study import bench_study

        typer.echo(bench_study(study, overrides or [], budget_s, as_json), nl=False)
        return
    comparison = compare(chosen(names_in(simulators)), sizes_in(qubits), batch, threads, limit_s, say)
    say("")
    picture = show.draw(comparison, out)
    typer.echo(show.as_json(comparison) if as_json else f"{show.as_text(comparison)}\npicture: {picture}\n", nl=False)
    raise typer.Exit(int(comparison.wrong))


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(EXIT_USER_ERROR)
