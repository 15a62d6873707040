"""One module per kind of design, with its settings and its rows. The registry of them all is `hadamard.orchestrator.design.registry`."""
