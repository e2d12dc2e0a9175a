"""The job `hf2vad extract`, for a checkout and `ray job submit`; hf2vad/jobs/extract.py says what it does."""

import sys

from hf2vad.jobs.extract import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
