"""The job `hf2vad run`, for a checkout and `ray job submit`; hf2vad/jobs/run.py says what it does."""

import sys

from hf2vad.jobs.run import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
