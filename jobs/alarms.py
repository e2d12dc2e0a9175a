"""Set the score at which an event starts by how many alarms an hour are wanted.

Example:
    python jobs/score_archive.py --archive demo/archive/train --bundle demo/bundle --out normal
    python jobs/alarms.py --scores normal --out alarms.json --per-hour 6
    python jobs/score_archive.py --archive demo/archive/test --bundle demo/bundle --out scores --alarms alarms.json

The footage must be normal and, other than in this example, not what the bundle was trained on: scores of training
footage are lower, and their threshold would give more alarms than wanted. Says when the hours at hand cannot support
the wanted rate. Exit code: 0 done, 2 usage.
"""

import sys

from hf2vad.commandline import main
from hf2vad.evaluation.alarms import AlarmJob
from hf2vad.report.alarms import set_alarms

if __name__ == "__main__":
    sys.exit(main(AlarmJob, set_alarms, description=__doc__))
