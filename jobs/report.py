"""Write the review site of a run: a night's overview, its events, and each video with its score.

Example:
    python jobs/report.py --scores demo/scores --archive demo/archive/test --bundle demo/bundle --out site
    python jobs/report.py --scores s3://vad/scores --archive s3://cameras --bundle s3://vad/bundles/site-7 \\
        --out s3://vad/review/2026-11-24 --pattern '{camera}/{date}/{time}.mp4' --since 2026-11-24 --until 2026-11-24

    python jobs/report.py --scores demo/scores --archive demo/archive/test --bundle demo/bundle --out site \\
        --evidence.clips --evidence.pixelate people

Open index.html: the site is static files, and needs no server. Run it again after more was scored; videos that were
copied or transcoded are kept.

Exit code: 0 done, also where videos cannot be played (it says how many, and their pages why); 2 usage, or a place that
cannot be used.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.report import ReviewJob, review_job

if __name__ == "__main__":
    sys.exit(main(ReviewJob, review_job, description=__doc__))
