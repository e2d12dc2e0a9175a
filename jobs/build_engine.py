"""Build a faster engine for a bundle, once, for one kind of machine; scoring with --engine auto then uses it.

Example:
    python jobs/build_engine.py --bundle demo/bundle
    python jobs/build_engine.py --bundle s3://vad/bundles/site-7 --engine tensorrt --precision bf16 --batch 1024

It is built on a worker with --ray.cpus and --ray.gpus, as scoring has them, compared with the reference on the bundle's
probe cubes, and kept in engines/ in the bundle, or at --engine-cache. The package is executable code: let nobody write
there whose code you would not run. Exit code: 0 built or there already, 2 a mistake, or it cannot be built here.
"""

import sys

from hf2vad.commandline import main
from hf2vad.jobs.build_engine import BuildJob, build_engine_job

if __name__ == "__main__":
    sys.exit(main(BuildJob, build_engine_job, description=__doc__))
