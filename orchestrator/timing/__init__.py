"""Times simulators on the paper's head, each in a process of its own; what `hadamard bench` and `hadamard energy` share."""
