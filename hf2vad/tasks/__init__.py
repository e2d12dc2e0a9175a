"""What jobs have workers do. Nothing here imports a command line, a monitor, metrics or a run's record."""
