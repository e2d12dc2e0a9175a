from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hf2vad.commandline import EXIT_STOPPED, EXIT_USAGE, main, parse, required_missing
from hf2vad.cubes.settings import FlowConfig, MotionConfig
from hf2vad.errors import ConfigError, NotFoundError, StoppedError
from hf2vad.presets import PRESETS
from tests.site import ROOT


@dataclass(frozen=True, kw_only=True)
class Job:
    EARLY: ClassVar[tuple[str, ...]] = ("preset",)

    archive: str
    """Where the videos are."""
    preset: str = "compact"
    """Whose defaults."""
    include: tuple[str, ...] = ()
    """Patterns."""
    shard_frames: int = 200
    """Frames of a shard."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> Job:
        chosen = PRESETS[early["preset"] or "compact"].extraction  # type: ignore[index]
        values: dict[str, Any] = {**required_missing(cls), "flow": chosen.flow, "motion": chosen.motion}
        return cls(**values)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('preset = "shanghaitech"\nshard_frames = 50\n[flow]\nscale = 1.5\n[motion]\nblur = 7\n')
    job = parse(Job, ["--archive", "a", "--config", str(file), "--flow.scale", "3"], description="")
    assert (job.flow.scale, job.motion.blur, job.motion.threshold, job.shard_frames) == (3.0, 7, 15, 50)
    assert job.preset == "shanghaitech"


def test_dotted_options_and_patterns_are_read() -> None:
    job = parse(Job, ["--archive", "s3://b/p", "--include", "*.avi", "*.mp4", "--flow.preset", "fast"], description="")
    assert job.include == ("*.avi", "*.mp4")
    assert job.archive == "s3://b/p"


def test_a_misspelt_key_in_the_file_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "site.toml"
    file.write_text("[flow]\nscal = 1.5\n")
    code = main(Job, lambda job: 0, description="", argv=["--archive", "a", "--config", str(file)])
    error = capsys.readouterr().err
    assert code == EXIT_USAGE
    assert error == f"error: {file}: unknown key flow.scal; did you mean flow.scale?\n"


@pytest.mark.parametrize(
    "argv", [["--flow.scal", "1", "--archive", "a"], [], ["--archive", "a", "--shard-frames", "x"]]
)
def test_a_mistake_on_the_command_line_ends_with_exit_code_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(Job, lambda job: 0, description="", argv=argv)
    assert ended.value.code == EXIT_USAGE


def test_a_refused_value_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Job, lambda job: 0, description="", argv=["--archive", "a", "--flow.scale", "-1"]) == EXIT_USAGE
    assert capsys.readouterr().err == "error: flow.scale must be above 0 and at most 8, got -1.0\n"


def test_an_error_of_the_job_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def run(job: Job) -> int:
        raise NotFoundError(f"{job.archive}: no such\nbucket")

    assert main(Job, run, description="", argv=["--archive", "s3://b"]) == EXIT_USAGE
    assert capsys.readouterr().err == "error: s3://b: no such bucket\n"


@pytest.mark.parametrize("end", [StoppedError("2 videos begun are left"), SystemExit(15)], ids=["ours", "Ray's"])
def test_a_job_that_was_told_to_stop_says_so_and_does_not_count_as_done(
    end: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Job) -> int:
        raise end

    assert main(Job, run, description="", argv=["--archive", "a"]) == EXIT_STOPPED == 143
    said = capsys.readouterr().err
    assert said.startswith("stopped")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("a = [", "not valid TOML")])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "site.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        parse(Job, ["--archive", "a", "--config", str(file)], description="")


def test_help_shows_groups_defaults_and_the_description(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(Job, ["--help"], description="Example: jobs/x.py --archive a")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "flow options" in shown
    assert "--flow.scale FLOAT" in shown
    assert "(default: 2.0)" in shown
    assert "Example: jobs/x.py --archive a" in shown
    assert "--config FILE" in shown


@pytest.mark.slow
def test_a_job_that_is_over_ends_with_its_code_whatever_signal_comes() -> None:
    code = "import os, signal, sys\n"
    code += "from hf2vad import commandline\nfrom tests.unit.test_commandline import Job\n"
    code += "code = commandline.Job('x', Job, lambda job: 3, '').main()\n"
    code += "os.kill(os.getpid(), signal.SIGTERM)\nsys.exit(code)"
    assert subprocess.run([sys.executable, "-c", code, "--archive", "x"], cwd=ROOT).returncode == 3
