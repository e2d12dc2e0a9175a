"""The paper's ablations and ours on an archive of normal videos and a labelled one: one table of frame AUROC.

Example:
    python jobs/ablate.py --train demo/archive/train --test demo/archive/test --labels demo/archive/labels.parquet \\
        --out demo/ablation --rows 'smoothing-*' --schedule.frame-steps 10
    python jobs/ablate.py --train s3://vad/train --test s3://vad/test --labels s3://vad/labels.parquet \\
        --out s3://vad/ablation --seeds 0 1 2

Each extraction is cut once, each network trained and scored once, however many rows need it. Rows that need a detector
(--detector.model) or boxes (--boxes-train, --boxes-test) are skipped without. Run it again to go on where it stopped.
Exit code: 0 done, 2 usage, 3 some rows failed (the table says why).
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.ablate import AblationJob, ablate_job

if __name__ == "__main__":
    sys.exit(main(AblationJob, ablate_job, description=__doc__))
