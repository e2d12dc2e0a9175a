"""Generate the demo archive.

python -m hf2vad.demo --out demo/archive --seed 0
"""

from __future__ import annotations

import argparse

from hf2vad.demo.archive import SCENES, generate


def main() -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(prog="python -m hf2vad.demo", description=__doc__)
    parser.add_argument("--out", required=True, help="folder for train/, test/ and labels.parquet")
    parser.add_argument("--scene", choices=tuple(SCENES), default="street", help="what the camera looks at")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another camera")
    parser.add_argument("--train-clips", type=int, default=8, help="normal clips")
    parser.add_argument("--test-clips", type=int, default=7, help="clips with something unusual")
    parser.add_argument("--frames", type=int, default=200, help="frames of each clip, at 12.5 a second")
    parser.add_argument("--width", type=int, default=320, help="of the pictures, in pixels")
    parser.add_argument("--height", type=int, default=240, help="of the pictures, in pixels")
    parser.add_argument("--far-runner", action="store_true", help="add a clip with someone who runs far away")
    options = vars(parser.parse_args())
    archive = generate(size=(options.pop("width"), options.pop("height")), **options)
    print(f"{archive.train} and {archive.test}, labels in {archive.labels}")


if __name__ == "__main__":
    main()
