"""Compare frame scores with labels: AUROC over frames, and with tracks RBDC and TBDC over boxes.

Example:
    python jobs/evaluate.py --scores demo/scores --labels demo/archive/labels.parquet --out demo
    python jobs/evaluate.py --scores demo/scores --labels demo/archive/labels.parquet --out demo/gaussian \\
        --tracks demo/archive/tracks.parquet --protocol.smoothing gaussian --protocol.window 17

Writes evaluation.json, evaluation.md (the same to read) and frame_scores.parquet (both, frame by frame). Refuses when a
labelled frame has no row. Exit code: 0 done, 2 usage, or scores, labels and tracks that do not belong together.
"""

import sys

from hf2vad.commandline import main
from hf2vad.evaluation.protocol import EvaluateJob
from hf2vad.report.summary import evaluate_and_print

if __name__ == "__main__":
    sys.exit(main(EvaluateJob, evaluate_and_print, description=__doc__))
