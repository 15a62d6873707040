"""The command line: verbs, options, exit codes and how errors are shown; the module of a verb is imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hadamard.model.errors import EXIT_USER_ERROR, UserError
from hadamard.orchestrator.ledger.claim import OwnedError

ANYWHERE = ("plan", "report", "compare")
"""Verbs that need nothing of Linux; the others watch processes in /proc, and end them by Linux's calls."""
EXIT_INCOMPLETE, EXIT_WRONG, EXIT_OWNED, EXIT_INTERRUPTED = 1, 1, 75, 130

app = typer.Typer(
    name="hadamard",
    help="Designed experiments on hybrid quantum-classical text classifiers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file, or the name of a packaged study, such as quickstart.")]
StudyDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The study's directory, such as runs/quickstart.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a setting, e.g. training.epochs=5. Repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hadamard {version('hadamard')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")] = False,
) -> None:
    """Designed experiments on hybrid quantum-classical text classifiers."""


@app.command()
def run(
    study: StudyPath,
    overrides: Overrides = None,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where the study is kept. Default: runs/NAME.")] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the Ray dashboard.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show on the terminal, too, what is logged to logs/driver.log.")] = False,
) -> None:
    """Run what the study still owes, then write its report. The same command again goes on where it stopped.

    Exit codes: 0 all trials are done, 1 some are not, 2 bad input, 75 another driver has the study, 130 stopped before the end.
    """
    from hadamard.model.logs import log_to_terminal
    from hadamard.orchestrator.commands.run import run_study

    if verbose:
        log_to_terminal()
    state = run_study(study, overrides or [], directory, dashboard)
    raise typer.Exit({"complete": 0, "incomplete": EXIT_INCOMPLETE, "interrupted": EXIT_INTERRUPTED}[state])


@app.command()
def plan(
    study: StudyPath,
    overrides: Overrides = None,
    sd: Annotated[
        float, typer.Option(min=1e-6, help="Standard deviation of one trial's accuracy within a split, for the power; SST-2 showed 0.02.")
    ] = 0.02,
    as_json: AsJson = False,
) -> None:
    """Show the design, its aliases and power, and what running it will take. Runs nothing."""
    from hadamard.orchestrator.commands.plan import show_plan

    typer.echo(show_plan(study, overrides or [], sd, as_json), nl=False)


@app.command()
def calibrate(
    work_s: Annotated[float, typer.Option(min=0.5, help="Seconds for which every core is kept at work.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Measure this machine by running a small study, about a minute, and keep what it took for `plan`."""
    from hadamard.orchestrator.commands.calibrate import show_calibration

    typer.echo(show_calibration(work_s, as_json), nl=False)


@app.command()
def submit(
    study: StudyPath,
    overrides: Overrides = None,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where the study is kept. Default: runs/NAME.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes.")] = None,
    time: Annotated[str | None, typer.Option(metavar="TIME", help="Time limit, e.g. 2:30:00.")] = None,
    partition: Annotated[str | None, typer.Option(help="Partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account.")] = None,
    qos: Annotated[str | None, typer.Option(help="Quality of service.")] = None,
    cpus_per_node: Annotated[int | None, typer.Option(min=1, help="Cores of each node.")] = None,
    mem: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of each node, e.g. 8G; 0 for all of it.")] = None,
    gpus_per_node: Annotated[str | None, typer.Option(metavar="[TYPE:]N", help="GPUs of each node.")] = None,
    site: Annotated[str | None, typer.Option(help="Site profile, by name: in ./sites, ~/.config/hadamard/sites or the package.")] = None,
    chain: Annotated[
        int | None, typer.Option(min=1, help="Number of jobs, one after the other, where jobs may not be queued again.")
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="Lend nodes to this study, which another job leads.")] = False,
    array: Annotated[int | None, typer.Option(min=1, help="With --join: number of jobs.")] = None,
    sbatch: Annotated[list[str] | None, typer.Option(metavar="ARG", help="Any other option of sbatch. Repeatable.")] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the Ray dashboard.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the commands.")] = False,
) -> None:
    """Submit a study to Slurm, and return at once. What is not given here is as slurm/sweep.sbatch says.

    Exit codes: 0 submitted, or nothing is owed, 2 refused, by us or by sbatch.
    """
    from hadamard.orchestrator.commands.submit import Request, submit_study
    from hadamard.slurm.submit import SubmitOptions

    options = SubmitOptions(
        nodes=nodes,
        time=time,
        partition=partition,
        account=account,
        qos=qos,
        cpus_per_node=cpus_per_node,
        mem=mem,
        gpus_per_node=gpus_per_node,
        array=array,
        extra=tuple(sbatch or ()),
    )
    submit_study(Request(study, overrides or [], directory, dashboard, site, join, chain, dry_run), options)


@app.command()
def fetch(study: StudyPath, overrides: Overrides = None) -> None:
    """Put corpus, sentence encoder and embeddings where jobs on nodes without network find them. For the login node."""
    from hadamard.orchestrator.commands.fetch import fetch_study

    fetch_study(study, overrides or [])


@app.command()
def status(directory: StudyDirectory, as_json: AsJson = False) -> None:
    """Say what is done, running, owed and failed."""
    from hadamard.orchestrator.commands.status import show_status

    typer.echo(show_status(directory, as_json), nl=False)


@app.command(hidden=True)
def role(
    study: StudyPath,
    overrides: Overrides = None,
    directory: Annotated[Path | None, typer.Option("--dir")] = None,
    dashboard: bool = True,
    verbose: Annotated[bool, typer.Option("--verbose")] = False,
) -> None:
    """For slurm/sweep.sbatch: whether a job should lead this study, join the job that does, wait, or nothing; takes what `run` takes."""
    from hadamard.orchestrator.commands.job_role import show_role

    typer.echo(show_role(study, overrides or [], directory), nl=False)


@app.command()
def report(directory: StudyDirectory) -> None:
    """Write the report of what is done so far: report/report.html, figures, results.csv and .parquet, costs.csv."""
    from hadamard.orchestrator.commands.report import write_report

    typer.echo(write_report(directory))


@app.command()
def augment(
    directory: StudyDirectory,
    effect: Annotated[
        float | None,
        typer.Option(min=1e-3, metavar="POINTS", help="Main effect to be found. Default: the study's, else half of what it finds."),
    ] = None,
    power: Annotated[
        float | None, typer.Option(min=0.1, max=0.999, help="Probability with which it should be found. Default: the study's, else 0.8.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose follow-up designs that keep what is done, each with its reason, its cost and its command. Runs nothing."""
    from hadamard.orchestrator.commands.augment.view import show_follow_ups

    typer.echo(show_follow_ups(directory, effect, power, as_json), nl=False)


@app.command()
def compare(
    first: StudyDirectory,
    second: Annotated[Path, typer.Argument(metavar="DIR", help="The other study's directory.")],
    as_json: AsJson = False,
) -> None:
    """Set two studies side by side: settings, accuracy of each arm, effects, costs, and how they differ."""
    from hadamard.orchestrator.commands.compare.view import show_comparison

    typer.echo(show_comparison(first, second, as_json), nl=False)


@app.command()
def sync(
    directory: StudyDirectory,
    everything: Annotated[bool, typer.Option("--all", help="Look at every trial again, also those that are there already.")] = False,
) -> None:
    """Send what is missing to MLflow ($MLFLOW_TRACKING_URI, else mlflow.db beside the study's directory)."""
    from hadamard.orchestrator.commands.sync import sync_study

    typer.echo(sync_study(directory, everything))


@app.command()
def doctor(
    of_mpi: Annotated[bool, typer.Option("--mpi", help="Instead: start two MPI ranks by each launcher, and try what there is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what this machine can do, and why not the rest."""
    from hadamard.orchestrator.commands.doctor import checks
    from hadamard.orchestrator.commands.doctor.check import DoctorResult, text

    if as_json:
        typer.echo(DoctorResult(checks=tuple(checks(of_mpi))).model_dump_json(indent=1))
        return
    for check in checks(of_mpi):  # some take seconds
        typer.echo("\n".join(text(check)))


@app.command()
def bench(
    qubits: Annotated[str, typer.Option(metavar="6,8,..", help="Sizes.")] = "6,8,10,12,14",
    batch: Annotated[int, typer.Option(min=1, help="Rows of a batch.")] = 32,
    simulators: Annotated[str, typer.Option(metavar="A,B,..", help="Which ones. Default: all that can be opened here.")] = "",
    threads: Annotated[int, typer.Option(min=1, help="Threads of each simulator.")] = 1,
    limit_s: Annotated[float, typer.Option(min=0.1, help="Seconds that a simulator's first step may take at a size.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Time the simulators on the paper's head: forward and gradient. Wrong numbers get no time.

    Exit codes: 0 all numbers are right, 1 some are wrong, 2 bad input.
    """
    from hadamard.orchestrator.commands.bench import bench as time_simulators
    from hadamard.orchestrator.commands.bench import text
    from hadamard.orchestrator.commands.render import render

    result = time_simulators(qubits, batch, simulators, threads, limit_s)
    typer.echo(render(result, text, as_json), nl=False)
    raise typer.Exit(0 if result.right else EXIT_WRONG)


@app.command()
def energy(
    qpu: Annotated[
        Path | None, typer.Option("--qpu", metavar="FILE", help="Inputs of the QPU and GPU models. Default: the packaged energy/qpu.yaml.")
    ] = None,
    qubits: Annotated[str | None, typer.Option(metavar="4,6,..", help="Sizes to measure. Default: 4 to 24.")] = None,
    simulators: Annotated[str | None, typer.Option(metavar="A,B,..", help="Default: all that can be opened here.")] = None,
    limit_s: Annotated[float | None, typer.Option(min=0.1, help="Seconds that a first pass may take at a size. Default: 60.")] = None,
    saved: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Measure nothing: take an earlier run's measured.json.")
    ] = None,
    watts: Annotated[
        float | None, typer.Option(min=1e-6, help="Watts of a busy core: without counters, joules are modelled as CPU seconds x these.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where measured.json goes.")] = Path("runs/energy"),
    as_json: AsJson = False,
) -> None:
    """Set an inference's energy against qubits: simulators measured here, a GPU and a QPU as models, and where they cross."""
    from hadamard.orchestrator.commands.crossover.text import text
    from hadamard.orchestrator.commands.crossover.verb import Request
    from hadamard.orchestrator.commands.crossover.verb import energy as compare_energy
    from hadamard.orchestrator.commands.render import render
    from hadamard.orchestrator.study.packaged import packaged_input

    scenarios = packaged_input("energy/qpu.yaml") if qpu is None else qpu
    typer.echo(render(compare_energy(scenarios, Request(qubits, simulators, limit_s), saved, watts, out), text, as_json), nl=False)


def check_system(words: Sequence[str]) -> None:
    """Raise a UserError if this is not Linux and the command line is a verb that needs it."""
    verb = next(iter(words), "--help")
    if sys.platform != "linux" and verb not in ANYWHERE and not verb.startswith("-") and "--help" not in words:
        here = f"here {', '.join(ANYWHERE[:-1])} and {ANYWHERE[-1]} work, with studies that were run on Linux"
        raise UserError(f"hadamard {verb} needs Linux, this is {sys.platform}; {here}")


def main() -> None:
    """Run the command line; what a user can mend ends with its message and exit code 2 or 75, without a traceback."""
    try:
        check_system(sys.argv[1:])
        app()
    except UserError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(EXIT_OWNED if isinstance(error, OwnedError) else EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
