"""The job `hf2vad similar`, for a checkout and `ray job submit`; hf2vad/jobs/similar.py says what it does."""

import sys

from hf2vad.jobs.similar import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
