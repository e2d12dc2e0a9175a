"""The job `hf2vad build-engine`, for a checkout and `ray job submit`; hf2vad/jobs/build_engine.py says what it does."""

import sys

from hf2vad.jobs.build_engine import JOB

if __name__ == "__main__":
    sys.exit(JOB.main())
