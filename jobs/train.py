"""The job `hf2vad train`, for a checkout and `ray job submit`; hf2vad/jobs/train.py says what it does."""

import sys

from hf2vad.jobs.train import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
