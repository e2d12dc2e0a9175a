"""The job `hf2vad teach`, for a checkout and `ray job submit`; hf2vad/jobs/teach.py says what it does."""

import sys

from hf2vad.jobs.teach import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
