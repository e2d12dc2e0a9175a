"""The job `hf2vad report`, for a checkout and `ray job submit`; hf2vad/jobs/report.py says what it does."""

import sys

from hf2vad.jobs.report import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
