"""Programs that start the ranks of an MPI program, one file each, and the registry of them."""
