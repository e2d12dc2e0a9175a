"""Generate a street archive, learn what is normal on it, score it, and write a site with what was found.

Example:
    python jobs/demo.py --out demo
    python jobs/demo.py --out demo --archive ~/videos

Leaves demo/bundle, demo/evaluation.json and demo/report/index.html. Run it again to go on where it stopped.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.demo import DemoJob, demo_job

if __name__ == "__main__":
    sys.exit(main(DemoJob, demo_job, description=__doc__))
