"""The job `hf2vad ablate`, for a checkout and `ray job submit`; hf2vad/jobs/ablate.py says what it does."""

import sys

from hf2vad.jobs.ablate import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
