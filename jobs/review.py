"""The job `hf2vad review`, for a checkout and `ray job submit`; hf2vad/jobs/review.py says what it does."""

import sys

from hf2vad.jobs.review import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
