"""What is measured, and how. `python -m benchmarks` lists it; results are in benchmarks/results."""
