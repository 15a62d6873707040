"""`hadamard bench`: our simulators and their peers on the paper's head, and a study against the ordinary way of doing it.

Owns the measurements and how they are shown. Does not own the simulators, nor a study's plan.
"""
