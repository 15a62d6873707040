"""States shared by several MPI ranks."""
