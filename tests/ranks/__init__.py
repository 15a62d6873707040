"""Programs that tests start on several MPI ranks."""
