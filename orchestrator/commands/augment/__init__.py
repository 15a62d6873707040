"""`hadamard augment`: follow-up designs for a study that has run, which keep what is done.

Owns the proposals and the reasons for them. Does not own the analysis they rest on, nor the running of what is proposed.
"""
