"""The job `hf2vad reproduce`, for a checkout and `ray job submit`; hf2vad/jobs/reproduce.py says what it does."""

import sys

from hf2vad.jobs.reproduce import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
