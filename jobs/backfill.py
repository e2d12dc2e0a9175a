"""Score what is new in an archive since the last time: a night's work, to be started every night.

Example:
    python jobs/backfill.py --archive demo/archive/test --bundle demo/bundle --out nightly --min-age-minutes 0
    ray job submit --working-dir . -- python jobs/backfill.py --archive s3://cameras --bundle s3://vad/bundles/site-7 \\
        --out s3://vad/scores --pattern '{camera}/{date}/*' --since 2026-11-24 --order newest --hours 8 --compact

What is done is read from <out>/bundle=<id>/done/. One run works at a time: a lease in <out>/bundle=<id>/lease/ says
which. On SIGTERM, and after --hours, what runs is finished and no more is started; the next run goes on there.

Exit code: 0 done or out of hours, 2 usage, 3 some videos failed, 4 another run is at work, 143 stopped by SIGTERM.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.backfill import BackfillJob, backfill_job

if __name__ == "__main__":
    sys.exit(main(BackfillJob, backfill_job, description=__doc__))
