"""`hadamard augment`: follow-up designs for a study that has run, which keep what is done."""
