"""The house's floor plan: data, and so imports, go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"arrow", "errors", "logs", "plurals", "profile", "versions"},
    {"settings"},
    {"schema", "progress", "threads", "heap", "options", "summary"},
    {"storage", "helptext"},
    {"hashes", "commandline"},
    {"archive", "models", "demo"},
    {"video"},
    {"features", "tables"},
    {"bundle", "health"},
    {"cubes", "engines"},
    {"scoring"},
    {"training"},
    {"fitting"},
    {"presets"},
    {"evaluation"},
    {"evidence"},
    {"report"},
    {"review"},
    {"cluster"},
    {"walk"},
    {"tasks", "ablation"},
    {"runs"},
    {"jobs"},
    {"__main__", "api"},
    {"reference"},
]
"""From the ground up: a module imports only from floors below its own, or from its own package. The settings of a room
stand on the floor of `settings`: they import nothing else, so that any room may read another's. Those of a bundle are
what training found, and those of runs know the command line: they stand with their rooms."""

SETTINGS_OF_THEIR_ROOM = {"bundle", "runs"}
LARGEST_ROOM = 2_500
"""Lines of a folder of the package, with all folders in it, stay below this."""
LONGEST_FILE = 350
"""Lines of a file, at most."""

MOST_PARAMETERS = 8
"""Parameters of a function, at most."""

MODULES = sorted((ROOT / "hf2vad").rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT / "hf2vad").parts
    own = parts[-1] == "settings.py" and parts[0] not in SETTINGS_OF_THEIR_ROOM
    return "settings" if own else parts[0].removesuffix(".py")


@cache
def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name for name in inside if ROOT.joinpath(*name.split(".")).with_suffix(".py").exists()]
    return names


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


def runs_downward(own: str, name: str) -> bool:
    """Whether a module of the room `own` may import `name`."""
    parts = name.split(".")
    if parts[0] != "hf2vad" or len(parts) == 1 or parts[1] == own:
        return True
    there = "settings" if parts[-1] == "settings" and parts[1] not in SETTINGS_OF_THEIR_ROOM else parts[1]
    return floor(there) < floor(own) or there == own == "settings"


def test_imports_run_downward() -> None:
    modules = [path for path in MODULES if path != ROOT / "hf2vad" / "__init__.py"]
    upward = [f"{path}: {name}" for path in modules for name in imported(path) if not runs_downward(room(path), name)]
    assert upward == []
    assert not runs_downward("video", "hf2vad.jobs.score"), "the search finds nothing"


def test_rooms_and_files_stay_small_enough_to_read() -> None:
    rooms: dict[str, int] = {}
    for path in MODULES:
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST_FILE, f"{path}: {lines} lines"
        name = path.relative_to(ROOT / "hf2vad").parts[0]
        rooms[name] = rooms.get(name, 0) + lines
    assert {name: lines for name, lines in rooms.items() if lines >= LARGEST_ROOM} == {}


@pytest.mark.parametrize("folder", ["hf2vad", "jobs", "cluster"])
def test_no_function_has_more_parameters_than_one_can_keep_in_mind(folder: str) -> None:
    many = []
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if sum(item.arg not in ("self", "cls") for item in taken) > MOST_PARAMETERS:
                    many.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not many


def test_every_public_method_of_a_protocol_says_what_it_does() -> None:
    silent = []
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                silent += [
                    f"{node.name}.{method.name}"
                    for method in methods
                    if not method.name.startswith("_") and not ast.get_docstring(method)
                ]
    assert not silent


def test_only_the_cluster_imports_ray() -> None:
    using = {path.parent for path in MODULES if any(name.split(".")[0] == "ray" for name in imported(path))}
    assert using == {ROOT / "hf2vad" / "cluster"}


def test_nothing_private_of_ray_is_used() -> None:
    assert not [path for path in MODULES if "ray._private" in path.read_text()]


def imported_by(code: str, libraries: Iterable[str]) -> list[str]:
    """Those of `libraries` that a fresh process has loaded after `code`, in the order of `libraries`."""
    loaded = f"[name for name in {list(libraries)} if name in sys.modules]"
    program = f"import sys\n{code}\nprint(*{loaded}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr.split()


@pytest.mark.slow
def test_what_drives_a_run_or_trains_imports_no_compiler_no_plots_and_no_ray() -> None:
    """They take 76 MiB and seconds, in the driver and in every worker; `--ray.address none` does without Ray."""
    code = "import hf2vad.walk.run, hf2vad.runs.scoring, hf2vad.tasks.extraction, hf2vad.fitting.network"
    assert imported_by(code, ("torch._inductor", "sklearn", "plotly", "ray")) == []


@pytest.mark.slow
def test_a_review_server_loads_no_network() -> None:
    code = "import hf2vad.review.marks, hf2vad.review.server, hf2vad.review.similar, hf2vad.review.zone_store"
    assert imported_by(code, ("torch", "ray", "sklearn", "scipy")) == []


HELP = """
from hf2vad.jobs import JOBS, load
for name in JOBS:
    try:
        load(name).main(["--help"])
    except SystemExit as ended:
        assert ended.code == 0
"""


@pytest.mark.slow
def test_help_does_not_wait_for_large_libraries() -> None:
    assert imported_by(HELP, ("torch", "ray", "cv2", "sklearn", "scipy", "av")) == []


WORKER_MODULES = (
    *(f"hf2vad.tasks.{path.stem}" for path in sorted((ROOT / "hf2vad" / "tasks").glob("[!_]*.py"))),
    "hf2vad.walk.worker",
    "hf2vad.engines.request",
    "hf2vad.ablation.nodes",
    "hf2vad.tables.compact",
)
"""Where the functions stand that jobs have workers call, and the tasks that travel with the calls."""

DRIVER_MODULES = (
    "hf2vad.commandline",
    "hf2vad.jobs",
    "hf2vad.runs",
    *(f"hf2vad.walk.{name}" for name in ("walk", "run", "monitor", "metrics", "record", "backlog", "lease")),
)
"""What a process that makes calls has no use for: the command line, and the following of a run."""


def files_of(name: str) -> list[Path]:
    """The files that importing a module of the package runs."""
    parts = name.split(".")
    paths = [ROOT.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    return [found for path in paths for found in (path / "__init__.py", path.with_suffix(".py")) if found.exists()]


def reached(names: Iterable[str]) -> dict[str, str]:
    """The modules of the package that importing `names` comes to, and what imports each; imports in functions too."""
    found: dict[str, str] = dict.fromkeys(names, "")
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for path in files_of(name):
            if path == ROOT / "hf2vad" / "__init__.py":  # what it names is imported when it is asked for
                continue
            for other in imported(path):
                if other.startswith("hf2vad.") and other not in found:
                    found[other] = name
                    waiting.append(other)
    return found


def test_what_workers_import_leads_to_no_command_line_and_no_following_of_a_run() -> None:
    known = reached(WORKER_MODULES)
    ours = {name: by for name, by in known.items() if name.startswith(DRIVER_MODULES)}
    assert ours == {}
    assert "hf2vad.walk.walk" in reached(["hf2vad.jobs.score"]), "the search finds nothing"


@pytest.mark.slow
def test_a_worker_that_has_imported_all_of_it_has_loaded_none_of_that() -> None:
    code = f"import sys\nfor name in {WORKER_MODULES}: __import__(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert set(WORKER_MODULES) <= set(loaded)
    assert [name for name in loaded if name.startswith((*DRIVER_MODULES, "tyro", "ray.util.metrics"))] == []


def test_what_is_called_on_a_cluster_stands_in_a_module_of_workers() -> None:
    called = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        origin = {alias.name: node.module for node in imports for alias in node.names}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        functions = [call.args[0].id for call in calls if call.func.id == "Call" and isinstance(call.args[0], ast.Name)]
        called += [(str(path), name, origin.get(name)) for name in functions]
    assert [call for call in called if call[2] not in WORKER_MODULES] == []
    assert called, "the search finds nothing"


def test_who_asks_for_an_engine_does_not_import_torch_and_whoever_gets_ready_to_answer_does() -> None:
    asking = """
import pickle, sys
from hf2vad.engines.request import EngineRequest, answer_here
request = EngineRequest(bundle_uri="/b", bundle_id="0", wanted="auto", precision="fp32", cache="/c",
                        networks=("flow",), batch=64, device="cpu", threads=1)
message = pickle.dumps((answer_here, (request,)))
assert "torch" not in sys.modules
assert pickle.loads(message) == (answer_here, (request,))
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", asking], check=True)
