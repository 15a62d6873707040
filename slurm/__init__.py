"""Running a study on a Slurm cluster: the batch script that users read and edit, Ray on the job's nodes, and what Slurm knows of jobs.

Studies, designs and trials are in hadamard.orchestrator.
"""
