"""MLflow's pages of a finished study of more than 200 runs, in a real browser: accuracy, joules, seconds and parameters of each run."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking import mlflow_sync, saved_view
from tests.support.browser import CHROMIUM, Page, opened
from tests.support.finished_study import accuracy, finished_study, joules, meter, parameters, seconds
from tests.support.mlflow_server import MlflowServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, a browser: apt-get install chromium"),
]
RUNS = 200
TALL, WIDE = 9_000, 60_000
"""Pixels: tables draw only what the window has room for."""
VIEW_CELLS = """
    JSON.stringify([...document.querySelectorAll('.ag-row [col-id]')].map(
        (cell) => [cell.closest('.ag-row').getAttribute('row-index'), cell.getAttribute('col-id'), cell.innerText]))
"""
COMPARED_METRICS = """
    (() => {
        const names = [...document.querySelectorAll('a[title="Plot chart"]')].map((link) => link.parentElement);
        let table = names[0];
        while (!table.querySelector('span')) table = table.parentElement;
        const cells = [...table.querySelectorAll('div')].filter(
            (cell) => cell.style.position === 'absolute' && cell.querySelector(':scope > span'));
        const left = (cell) => parseInt(cell.style.left);
        const line = (name) => cells.filter((cell) => cell.style.top === name.style.top).sort((one, other) => left(one) - left(other));
        return JSON.stringify(Object.fromEntries(names.map((name) => [name.innerText, line(name).map((cell) => cell.innerText)])));
    })()
"""
COMPARED_NAMES = """
    JSON.stringify([...[...document.querySelectorAll('tr')].find((row) => row.innerText.startsWith('Run Name')).children]
        .map((cell) => cell.innerText))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, Plan]:
    ledger, plan = finished_study(tmp_path_factory.mktemp("study"), RUNS)
    meter(ledger, plan)
    return ledger, plan


@pytest.fixture(scope="module")
def server(study: tuple[Ledger, Plan]) -> Iterator[MlflowServer]:
    directory = study[0].directory.parent
    assert mlflow_sync.sync(*study, run_has_ended=True) == mlflow_sync.SyncResult(RUNS, None)
    with MlflowServer(directory / "mlflow.db", directory / "server.log") as server:
        yield server


def wanted(plan: Plan) -> dict[str, list[float]]:
    """Return accuracy, joules, seconds and parameters of each run."""
    return {trial.key: [accuracy(at), joules(at), seconds(at), parameters(at)] for at, trial in enumerate(plan.trials)}


def button(label: str) -> str:
    """Return the expression of a button."""
    return f"[...document.querySelectorAll('button')].find((button) => button.innerText === '{label}')"


def test_view_and_comparison_show_accuracy_joules_seconds_and_parameters_of_200_runs(
    study: tuple[Ledger, Plan], server: MlflowServer
) -> None:
    asyncio.run(asyncio.wait_for(look(server.address, study[1]), 300))


async def look(address: str, plan: Plan) -> None:
    async with opened(address + saved_view.address("1")) as page:
        await page.resize(2000, TALL)
        await page.until("document.body.innerText.includes('100 matching runs')")
        await page.click(button("Load more"))
        await page.until(f"document.body.innerText.includes('{RUNS} matching runs')")
        lines = await viewed(page)
        assert {name: [line[f"metrics.`{metric}`"] for metric in saved_view.METRICS] for name, line in lines.items()} == wanted(plan)
        trial = plan.trials[-1]
        assert {path: lines[trial.key][f"params.`{path}`"] for path in trial.factors} == trial.factors

        await page.click("document.querySelector('[aria-label=\"Select all runs\"]')")
        await page.click(button("Compare"))
        await page.until(f"document.body.innerText.includes('Comparing {RUNS} Runs')")
        await page.resize(WIDE, TALL)
        compared = await page.until(f"JSON.parse({COMPARED_METRICS}).energy_j?.length === {RUNS} && {COMPARED_METRICS}")
        metrics = json.loads(compared)
        _title, *names = json.loads(await page.value(COMPARED_NAMES))
        columns = zip(*(map(float, metrics[name]) for name in saved_view.METRICS), strict=True)
        assert dict(zip(names, map(list, columns), strict=True)) == wanted(plan)


async def viewed(page: Page) -> dict[str, dict[str, Any]]:
    """Return the content of the table of runs, by their names and columns; numbers as such."""
    lines: dict[str, dict[str, Any]] = {}
    for line, column, text in json.loads(await page.value(VIEW_CELLS)):
        number = re.fullmatch(r"-?[0-9.]+", text)
        lines.setdefault(line, {})[column] = float(text) if number else text
    return {line["attributes.`Run Name`"].splitlines()[-1]: line for line in lines.values()}
