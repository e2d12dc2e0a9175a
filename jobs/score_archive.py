"""Score every frame of an archive with a bundle: Parquet tables of frames, objects and events.

Example:
    python jobs/score_archive.py --archive demo/archive/test --bundle demo/bundle --out demo/scores
    ray job submit --working-dir . -- python jobs/score_archive.py \\
        --archive s3://cameras/2026 --bundle s3://vad/bundles/site-7 --out s3://vad/scores

Run it again to go on where it stopped. Exit code: 0 done, 2 usage, 3 some videos failed or could be scored only in
part (see <out>/bundle=<id>/failures/), 143 stopped by SIGTERM, which lets shards in flight finish.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.score import ScoreJob, score_job

if __name__ == "__main__":
    sys.exit(main(ScoreJob, score_job, description=__doc__))
