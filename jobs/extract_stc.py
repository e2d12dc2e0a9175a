"""Cut an archive into spatio-temporal cubes: an STC table for training.

Example:
    python jobs/extract_stc.py --archive demo/archive/train --out demo/stc
    python jobs/extract_stc.py --archive s3://cameras/2026 --include '*.mp4' --out s3://vad/stc --ray.workers 64

Run it again to go on where it stopped. Exit code: 0 done, 2 usage, 3 some videos failed (see <out>/failures/), 143
stopped by SIGTERM, which lets shards in flight finish.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.extract import ExtractJob, extract_job

if __name__ == "__main__":
    sys.exit(main(ExtractJob, extract_job, description=__doc__))
