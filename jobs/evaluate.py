"""The job `hf2vad evaluate`, for a checkout and `ray job submit`; hf2vad/jobs/evaluate.py says what it does."""

import sys

from hf2vad.jobs.evaluate import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
