"""MLflow: what is sent, when, and what its pages show."""
