"""`python -m hadamard`: the same as the command `hadamard`."""

from hadamard.orchestrator.cli import main

main()
