"""The job `hf2vad case`, for a checkout and `ray job submit`; hf2vad/jobs/case.py says what it does."""

import sys

from hf2vad.jobs.case import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
