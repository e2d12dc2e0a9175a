"""The job `hf2vad backfill`, for a checkout and `ray job submit`; hf2vad/jobs/backfill.py says what it does."""

import sys

from hf2vad.jobs.backfill import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
