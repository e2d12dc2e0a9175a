"""Work of the workers. Imports no command line, monitor, metrics or run record."""
