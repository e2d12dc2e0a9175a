import os

# The networks of tests are so small that a second thread costs twice the time; before PyTorch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
