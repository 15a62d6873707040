"""Plans a study, computes its embeddings and trains its trials, all in this process: run by tests with a copy of the package.

`python planned_and_trained.py STUDY DIRECTORY` prints the plan, then a JSON list of the trials' results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(study: Path, directory: Path) -> None:
    from hadamard.model.data.corpus import load_corpus
    from hadamard.model.files.atomic import write_atomically
    from hadamard.model.files.trial_files import PackFiles, TrialFiles
    from hadamard.model.representation.embeddings import ensure
    from hadamard.model.representation.sentence_encoders import locate
    from hadamard.model.train import train_pack
    from hadamard.orchestrator.cli import app
    from hadamard.orchestrator.study.expansion import read_plan

    app(["plan", str(study)], standalone_mode=False)
    trials = read_plan(study, ()).trials
    settings = trials[0].settings
    ensure(load_corpus(settings.data), locate(settings.sentence_encoder.name))
    files = [TrialFiles(directory / trial.key) for trial in trials]
    for own, trial in zip(files, trials, strict=True):
        own.directory.mkdir(parents=True)
        write_atomically(own.trial, trial.model_dump_json())
    PackFiles(directory / "pack").write(files)
    train_pack(directory / "pack")
    outcomes = [json.loads(own.result.read_text()) if own.result.exists() else own.events()[-1] for own in files]
    print(json.dumps([{"arm": trial.arm, **outcome} for trial, outcome in zip(trials, outcomes, strict=True)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
