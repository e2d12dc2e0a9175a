"""The job `hf2vad demo`, for a checkout and `ray job submit`; hf2vad/jobs/demo.py says what it does."""

import sys

from hf2vad.jobs.demo import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
