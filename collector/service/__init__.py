"""What runs: jobs, workers, schedule, the daemon."""
