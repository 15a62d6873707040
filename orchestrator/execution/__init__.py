"""Running a study: Ray Tune, workers, retries, signals, budgets."""
