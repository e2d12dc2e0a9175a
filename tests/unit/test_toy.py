"""The toy experiment of paper §4.1."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from benchmarks import toy
from benchmarks.toy_digits import picture
from benchmarks.toy_digits.digits import Digits, read_digits
from benchmarks.toy_digits.experiment import Schedule, nearest, reconstruct, run, slots_kept, train
from benchmarks.toy_digits.job import ToyJob, toy_job
from benchmarks.toy_digits.report import print_toy
from benchmarks.toy_digits.variants import VARIANTS, Variant
from hf2vad.errors import ConfigError, EvaluationError, Hf2vadError, NotFoundError, SchemaError, TrainingError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.memae import FlowAutoencoder
from hf2vad.models.settings import ModelConfig
from tests.site import ROOT, environment

TINY = Schedule(flow_root=2, slots=6, steps=3, batch=8, lr=1e-3)
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


def nothing(steps: int, loss: float) -> None:
    pass


def network(variant: Variant) -> HF2VAD:
    torch.manual_seed(0)
    return HF2VAD(variant.config(flow_root=2, slots=6)).eval()


def idx(values: Any) -> bytes:
    """An idx file of unsigned bytes."""
    array = np.asarray(values, np.uint8)
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """A folder as MNIST's, of scikit-learn's digits: 60 training and 50 test images of 8×8."""
    found = load_digits()
    pixels, classes = (found.images * 15).astype(np.uint8), found.target
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, rows in (("train", slice(0, 60)), ("t10k", slice(60, 110))):
        (folder / f"{part}-{IMAGES}").write_bytes(idx(pixels[rows]))
        (folder / f"{part}-{LABELS}").write_bytes(idx(classes[rows]))
    return folder


@each_variant
def test_a_variants_network_has_its_memories_and_skips_and_no_others(variant: Variant) -> None:
    memories, skips = {
        "a": ("bottleneck", ""),
        "b": ("bottleneck up3 up2", ""),
        "c": ("bottleneck", "up3 up2 up1"),
        "d": ("bottleneck up3 up2", "up3 up2 up1"),
        "e": ("bottleneck up3", "up3"),
        "f": ("bottleneck up3 up2", "up3 up2"),
    }[variant.name]
    autoencoder = network(variant).flow_autoencoder
    assert set(autoencoder.memories) == set(memories.split())
    assert {level for level in ("up3", "up2", "up1") if getattr(autoencoder, level).skip} == set(skips.split())
    kept = slots_kept(network(variant), np.zeros((2, 32, 32), np.float32))
    assert set(kept) == set(memories.split())
    assert all(1 <= count <= 6 for count in kept.values())


def test_the_last_variant_is_the_products_network_weight_for_weight() -> None:
    ours, theirs = network(VARIANTS[-1]).flow_autoencoder, FlowAutoencoder(ModelConfig(flow_root=2, slots=6))
    shapes = [{name: value.shape for name, value in found.state_dict().items()} for found in (ours, theirs)]
    assert shapes[0] == shapes[1]


@each_variant
def test_only_an_outermost_skip_leads_around_all_memories(variant: Variant) -> None:
    model = network(variant)
    for memory in model.flow_autoencoder.memories.values():
        torch.nn.init.zeros_(memory.items)
    black, white = reconstruct(model, np.stack([np.zeros((32, 32)), np.ones((32, 32))]).astype(np.float32))
    assert np.array_equal(black, white) == (variant.name in "abef")


@pytest.mark.slow
@each_variant
def test_training_lowers_the_error_on_twos_that_were_not_learnt_from(variant: Variant) -> None:
    digits = read_digits("", seed=0)
    held_out = digits.test[~digits.anomalous]
    errors = []
    for steps in (1, 40):
        schedule = Schedule(flow_root=4, slots=20, steps=steps, batch=16, lr=1e-2)
        model = train(variant, digits.train, schedule, 0, nothing)
        errors.append(float(np.square(reconstruct(model, held_out) - held_out[:, None]).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_steps_are_told_and_none_is_lost(mnist: Path) -> None:
    told: list[int] = []
    schedule = Schedule(flow_root=2, slots=6, steps=43, batch=4, lr=1e-3)
    train(VARIANTS[0], read_digits(str(mnist), 0).train, schedule, 0, lambda steps, loss: told.append(steps))
    assert told == [20, 20, 3]


def test_a_loss_that_is_no_number_is_an_error_that_names_the_variant(mnist: Path) -> None:
    schedule = Schedule(flow_root=2, slots=6, steps=30, batch=4, lr=1e30)
    with pytest.raises(TrainingError, match=r"variant a, step \d+: loss is nan; lower --lr 1e\+30"):
        train(VARIANTS[0], read_digits(str(mnist), 0).train, schedule, 0, nothing)


def test_an_outcome_counts_pairs_of_a_two_and_another_digit_in_the_right_order(mnist: Path) -> None:
    digits = read_digits(str(mnist), 0)
    found = run(VARIANTS[0], digits, TINY, 0, nothing)
    normal, other = found.errors[digits.classes == 2], found.errors[digits.classes != 2]
    assert found.auroc == pytest.approx((other[:, None] > normal).mean())
    assert found.reconstructions.shape == digits.test.shape


def test_the_yardstick_is_the_distance_to_the_nearest_training_picture() -> None:
    flat = np.zeros((7, 32, 32), np.float32) + np.array([0, 1, 0.1, 0.8, 0.5, 0.05, 0.6], np.float32)[:, None, None]
    assert nearest(Digits(flat[:2], flat[2:], np.array([2, 2, 0, 1, 9]))) == pytest.approx(4 / 6)


def test_scikit_learns_digits_are_split_by_the_seed_and_no_two_is_learnt_and_tested() -> None:
    first, again, other = (read_digits("", seed) for seed in (0, 0, 1))
    assert (len(first.train), (~first.anomalous).sum(), first.anomalous.sum()) == (118, 59, 1620)
    assert np.array_equal(first.train, again.train)
    assert not np.array_equal(first.train, other.train)
    for found in (first, other):
        twos = np.concatenate([found.train, found.test[~found.anomalous]])
        assert len(np.unique(twos.reshape(len(twos), -1), axis=0)) == 177
        assert (found.test.dtype, found.test.shape[1:], found.test.min(), found.test.max()) == (
            np.float32,
            (32, 32),
            0,
            1,
        )


def test_mnist_files_may_be_gzipped_and_are_read_as_they_are_split(mnist: Path) -> None:
    plain = read_digits(str(mnist), seed=0)
    for path in sorted(mnist.iterdir()):
        (mnist / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = read_digits(str(mnist), seed=7)
    classes = load_digits().target
    assert len(plain.train) == (classes[:60] == 2).sum()
    assert np.array_equal(plain.classes, classes[60:110])
    for name in ("train", "test", "classes"):
        assert np.array_equal(getattr(plain, name), getattr(packed, name))


def test_pictures_of_the_networks_size_keep_their_pixels(mnist: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32), np.uint8)
    (mnist / f"t10k-{IMAGES}").write_bytes(idx(pixels))
    (mnist / f"t10k-{LABELS}").write_bytes(idx([2, 3, 2]))
    np.testing.assert_allclose(read_digits(str(mnist), 0).test, pixels / 255, atol=1e-6)


def written(name: str, data: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (
            lambda folder: (folder / f"t10k-{LABELS}").unlink(),
            NotFoundError,
            f"neither t10k-{LABELS} nor .*gz is there",
        ),
        (written(f"train-{IMAGES}", lambda data: b"\x89PNG" + data), SchemaError, f"train-{IMAGES}: not an idx file"),
        (written(f"train-{IMAGES}", lambda data: b""), SchemaError, f"train-{IMAGES}: not an idx file"),
        (written(f"train-{LABELS}", lambda data: data[:6]), SchemaError, f"train-{LABELS}: not an idx file"),
        (written(f"train-{IMAGES}", lambda data: data[:-1]), SchemaError, "holds 3,839 bytes where .* 60 × 8 × 8"),
        (written(f"train-{LABELS}", lambda data: idx([2, 2])), EvaluationError, "60 train images and 2 labels"),
        (written(f"train-{LABELS}", lambda data: idx([2] * 59 + [26])), SchemaError, "must be digits 0 to 9, got 26"),
        (written(f"train-{LABELS}", lambda data: idx([2] + [3] * 59)), EvaluationError, "1 training images of 2"),
        (written(f"t10k-{LABELS}", lambda data: idx([2] * 50)), EvaluationError, "images of 2 and of other digits"),
        (written(f"t10k-{LABELS}", lambda data: idx([5] * 50)), EvaluationError, "images of 2 and of other digits"),
        (
            lambda folder: (folder / f"t10k-{LABELS}").rename(folder / f"t10k-{LABELS}.gz"),
            SchemaError,
            f"t10k-{LABELS}.gz: not a gzip file",
        ),
    ],
)
def test_files_that_are_not_mnists_are_errors_that_name_them(
    mnist: Path, spoil: Callable[[Path], object], kind: type[Hf2vadError], message: str
) -> None:
    spoil(mnist)
    with pytest.raises(kind, match=message) as caught:
        read_digits(str(mnist), 0)
    assert str(mnist) in str(caught.value)


@pytest.mark.parametrize(
    "option", [{"seeds": 0}, {"steps": 0}, {"batch": 1}, {"slots": 1}, {"lr": 0.0}, {"threads": 0}]
)
def test_settings_that_no_training_can_have_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(option))} must be"):
        ToyJob(**option)


def tiny_job(mnist: Path, out: Path) -> dict[str, Any]:
    job = ToyJob(mnist=str(mnist), seeds=2, steps=3, batch=4, flow_root=2, slots=6)
    return toy_job(job, machine={"cpu": "of the test"}, results=str(out), images=str(out / "images"))


@pytest.mark.slow
def test_the_same_job_gives_the_same_figures_and_the_same_picture(mnist: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    first, second = (tiny_job(mnist, tmp_path / name) for name in "ab")
    for name in ("seconds", "cpu_seconds"):
        assert first.pop(name) > 0
        assert second.pop(name) > 0
    assert first == second
    pictures = [(tmp_path / name / "images" / "toy_mnist.png").read_bytes() for name in "ab"]
    assert pictures[0] == pictures[1]
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_a_job_puts_what_it_returns_and_a_picture_with_a_row_a_variant(
    mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tiny_job(mnist, tmp_path)
    assert json.loads((tmp_path / "toy_mnist.json").read_text()) == found
    assert (found["seeds"], found["machine"], found["data"]["source"]) == ([0, 1], {"cpu": "of the test"}, "MNIST")
    assert [row["variant"] for row in found["variants"]] == list("abcdef")
    for row in found["variants"]:
        assert len(row["auroc"]) == len(row["error_normal"]) == len(row["error_other"]) == 2
        assert all(0 <= value <= 1 for value in row["auroc"])
        assert list(row["slots_kept"]) == row["memories"]
    data = (tmp_path / "images" / "toy_mnist.png").read_bytes()
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (*picture.size(1 + len(VARIANTS), 2 + 9), 3)
    assert len(data) <= 300_000
    print_toy(found)
    shown = capsys.readouterr().out
    assert all(f"({name})" in shown for name in "abcdef")
    assert "nearest training 2" in shown


def test_the_picture_shows_each_digit_in_its_place() -> None:
    images = np.stack([np.full((32, 32), value, np.float32) for value in (0.0, 0.5, 2.0)])
    canvas = picture.draw([picture.Row(["one"], images), picture.Row(["two"], images[::-1])], normal=1, foot="")
    lefts = [picture.LABELS + picture.STEP * column + (picture.GAP if column else 0) for column in range(3)]
    for row, values in enumerate([(0, 128, 255), (255, 128, 0)]):
        top = picture.HEAD + row * picture.ROW
        for left, value in zip(lefts, values, strict=True):
            assert (canvas[top : top + picture.TILE, left : left + picture.TILE] == value).all()


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "benchmarks", "toy", *map(str, arguments)]
    env = {**environment(), "PYTHONPATH": str(ROOT)}
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=240)


@pytest.mark.slow
def test_the_command_shows_progress_and_a_table_and_writes_both_files(mnist: Path, tmp_path: Path) -> None:
    small = ("--steps", 2, "--seeds", 1, "--flow-root", 2, "--slots", 4)
    done = command("--mnist", mnist, "--out", tmp_path / "out", *small)
    assert done.returncode == 0, done.stderr
    assert "toy: 12/12 steps" in done.stderr
    assert "(f)" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["toy_mnist.json", "toy_mnist.png"]
    assert json.loads((tmp_path / "out" / "toy_mnist.json").read_text())["machine"]["torch"] == torch.__version__


def test_a_folder_without_mnist_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["toy", "--mnist", str(tmp_path), "--out", str(tmp_path / "out")])
    assert toy.main() == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: neither train-{IMAGES} nor train-{IMAGES}.gz is there\n"
    assert not (tmp_path / "out").exists()


def test_the_committed_picture_is_one_of_this_code_and_small() -> None:
    data = (ROOT / "docs" / "images" / "toy.png").read_bytes()
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (*picture.size(1 + len(VARIANTS), 2 + 9), 3)
    assert len(data) <= 300_000
    known = json.loads((ROOT / "benchmarks" / "results" / "toy.json").read_text())
    assert [(row["variant"], tuple(row["memories"]), tuple(row["skips"])) for row in known["variants"]] == [
        (variant.name, variant.memories, variant.skips) for variant in VARIANTS
    ]
