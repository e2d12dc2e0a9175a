from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hf2vad.commandline import EXIT_STOPPED, EXIT_USAGE, Job, main, parse, required_missing
from hf2vad.cubes.settings import FlowConfig, MotionConfig
from hf2vad.errors import ConfigError, NotFoundError, StoppedError
from hf2vad.presets import PRESETS
from tests.site import ROOT


@dataclass(frozen=True, kw_only=True)
class Settings:
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
    def base(cls, early: dict[str, str | None]) -> Settings:
        chosen = PRESETS[early["preset"] or "compact"].extraction  # type: ignore[index]
        values: dict[str, Any] = {**required_missing(cls), "flow": chosen.flow, "motion": chosen.motion}
        return cls(**values)


def job(run: Callable[[Settings], int] = lambda settings: 0, **more: Any) -> Job[Settings]:
    return Job("x", Settings, run, "Do something.\n\nExample:\n    hf2vad x a", reads="archive", **more)


def parsed(*argv: str) -> Settings:
    return parse(job(), argv, "hf2vad x")


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('preset = "shanghaitech"\nshard_frames = 50\n[flow]\nscale = 1.5\n[motion]\nblur = 7\n')
    settings = parsed("--archive", "a", "--config", str(file), "--flow.scale", "3")
    assert (settings.flow.scale, settings.motion.blur, settings.motion.threshold) == (3.0, 7, 15)
    assert (settings.shard_frames, settings.preset) == (50, "shanghaitech")


def test_dotted_options_and_patterns_are_read() -> None:
    settings = parsed("--archive", "s3://b/p", "--include", "*.avi", "*.mp4", "--flow.preset", "fast")
    assert settings.include == ("*.avi", "*.mp4")
    assert settings.archive == "s3://b/p"


def test_a_misspelt_key_in_the_file_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "site.toml"
    file.write_text("[flow]\nscal = 1.5\n")
    code = main(job(), ["--archive", "a", "--config", str(file)])
    error = capsys.readouterr().err
    assert code == EXIT_USAGE
    assert error == f"error: {file}: unknown key flow.scal; did you mean flow.scale?\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("--flow.scal 1 --archive a", "unknown option --flow.scal; did you mean --flow.scale? "),
        ("--blur 1 --archive a", "unknown option --blur; did you mean --motion.blur? "),
        ("", "--archive is missing; hf2vad x --help says what goes there"),
        ("a --shard-frames x", "--shard-frames takes a whole number, got 'x'"),
        ("a --flow.scale fast", "--flow.scale takes a number, got 'fast'"),
        ("a --shard-frames --flow.scale 1", "--shard-frames takes one value, got none"),
        ("a --flow.preset fats", "got 'fats'; did you mean fast?"),
        ("a b", "one archive is read, got 2: a b"),
        ("a --archive b", "'a' and --archive both name what is read; give one of the two"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2(
    argv: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(job(), argv.split()) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_what_a_job_reads_needs_no_flag_wherever_it_stands() -> None:
    for argv in (["a", "--flow.scale=3"], ["--flow.scale", "3", "a"], ["--archive", "a", "--flow.scale", "3"]):
        assert (parsed(*argv).archive, parsed(*argv).flow.scale) == ("a", 3.0)


def test_a_refused_value_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(job(), ["--archive", "a", "--flow.scale", "-1"]) == EXIT_USAGE
    assert capsys.readouterr().err == "error: flow.scale must be above 0 and at most 8, got -1.0\n"


def test_an_error_of_the_job_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def run(job: Settings) -> int:
        raise NotFoundError(f"{job.archive}: no such\nbucket")

    assert main(job(run), ["--archive", "s3://b"]) == EXIT_USAGE
    assert capsys.readouterr().err == "error: s3://b: no such bucket\n"


@pytest.mark.parametrize("end", [StoppedError("left: 2 videos begun"), SystemExit(15)], ids=["ours", "Ray's"])
def test_a_job_that_was_told_to_stop_says_so_and_does_not_count_as_done(
    end: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Settings) -> int:
        raise end

    assert main(job(run), ["--archive", "a"]) == EXIT_STOPPED == 143
    said = capsys.readouterr().err
    assert said.startswith("stopped")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("a = [", "not valid TOML")])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "site.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        parsed("--archive", "a", "--config", str(file))


def shown(capsys: pytest.CaptureFixture[str], *argv: str, **more: Any) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(job(**more), argv, "hf2vad x")
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_shows_what_one_may_want_and_where_the_rest_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "--help", shown=("flow.scale",))
    assert text.startswith("usage: hf2vad x ARCHIVE [options]\n\nDo something.\n\nExample:\n    hf2vad x a\n")
    assert "\n  ARCHIVE, --archive      Where the videos are. (required)\n" in text
    assert "--flow.scale X" in text
    assert "--motion.blur" not in text
    assert re.search(r"\n\d+ more options: hf2vad x --help-all\.", text)
    assert "--config FILE" in text


def test_help_all_shows_everything_by_section_but_what_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "--help-all")
    assert "\n\nflow:\n" in text
    assert "--motion.blur N" in text
    text = shown(capsys, "--help-all", hidden=("motion",), why_hidden="Motion is the bundle's.")
    assert "--motion." not in text
    assert "Motion is the bundle's." in text


def test_the_defaults_in_help_are_those_that_apply(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("compact", "shanghaitech"):
        threshold = PRESETS[name].extraction.motion.threshold  # type: ignore[index]
        row = shown(capsys, "--preset", name, "--help-all").partition("--motion.threshold N")[2].partition("\n  --")[0]
        assert f"(default: {threshold})" in " ".join(row.split())
    assert PRESETS["compact"].extraction.motion != PRESETS["shanghaitech"].extraction.motion


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_of_help_is_torn(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(capsys, "--help-all")
    assert max(map(len, text.splitlines())) <= min(columns, 100)


@pytest.mark.slow
def test_a_job_that_is_over_ends_with_its_code_whatever_signal_comes() -> None:
    code = "import os, signal, sys\n"
    code += "from hf2vad import commandline\nfrom tests.unit.test_commandline import Settings\n"
    code += "code = commandline.Job('x', Settings, lambda job: 3, '').main()\n"
    code += "os.kill(os.getpid(), signal.SIGTERM)\nsys.exit(code)"
    assert subprocess.run([sys.executable, "-c", code, "--archive", "x"], cwd=ROOT).returncode == 3
