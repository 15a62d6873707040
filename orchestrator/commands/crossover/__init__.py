"""`hadamard energy`: what one inference takes on a QPU, on a GPU as a model has it, and on the simulators that are measured here.

Owns the two models, the measurements and how they are shown. Does not own the simulators, meters, nor what trials took.
"""
