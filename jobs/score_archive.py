"""The job `hf2vad score`, for a checkout and `ray job submit`; hf2vad/jobs/score.py says what it does."""

import sys

from hf2vad.jobs.score import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
