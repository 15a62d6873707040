"""The files of trials and packs: journals, checkpoints, results, phases."""
