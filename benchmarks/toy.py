"""The toy experiment of paper §4.1: six memory autoencoders learn the digit 2 and are shown all digits.

Example:
    python -m benchmarks toy                    # scikit-learn's digits; minutes on one core
    python -m benchmarks toy --mnist ~/mnist    # MNIST's idx files

Trains each of the variants (a) to (f) with the product's own network and loss, and writes the AUROC of telling other
digits from held-out 2s by the reconstruction error to benchmarks/results/toy.json (toy_mnist.json), and a figure of
pictures and reconstructions to docs/images/toy.png (toy_mnist.png); both into --out where it is given. The last step is
evaluated; nothing is chosen on test pictures. The same seeds, settings, threads and machine give the same figures.

Exit code: 0 done, 2 usage, or MNIST files that are missing or none.
"""

from pathlib import Path

from benchmarks.machine import describe
from benchmarks.toy_digits.job import ToyJob, toy_job
from benchmarks.toy_digits.report import print_toy
from hf2vad import commandline

ROOT = Path(__file__).resolve().parents[1]


def run(job: ToyJob) -> int:
    """Run the experiment and print its figures."""
    results = job.out or str(ROOT / "benchmarks" / "results")
    images = job.out or str(ROOT / "docs" / "images")
    print_toy(toy_job(job, machine=describe(), results=results, images=images))
    print(f"written to {results}/{job.name}.json and {images}/{job.name}.png")
    return commandline.EXIT_OK


def main() -> int:
    return commandline.Job("toy", ToyJob, run, __doc__).main()
