"""Train a site's model on an STC table and put the bundle that jobs/score_archive.py needs.

Example:
    python jobs/train.py --stc demo/stc --out demo/bundle --preset compact
    python jobs/train.py --stc s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --training.amp bf16
    python jobs/train.py --stc s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --workers 4

With --workers, as many processes train together on a Ray cluster, each on its share of every batch of training.batch
cubes. tensorboard --logdir shows the curves in tensorboard/ beside the bundle.

Run it again to go on from the last checkpoint. Exit code: 0 done, 2 usage or a table that cannot be trained on, 143
stopped by SIGTERM, with a checkpoint written first.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.train import TrainJob, train_job

if __name__ == "__main__":
    sys.exit(main(TrainJob, train_job, description=__doc__))
