"""The job `hf2vad alarms`, for a checkout and `ray job submit`; hf2vad/jobs/alarms.py says what it does."""

import sys

from hf2vad.jobs.alarms import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
