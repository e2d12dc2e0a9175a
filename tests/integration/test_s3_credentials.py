from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hf2vad.storage import (
    delete,
    exists,
    find_file,
    list_dir,
    list_files,
    open_parquet,
    open_read,
    put_bytes,
    put_if_absent,
    read_bytes,
    read_json,
    read_table,
)

if TYPE_CHECKING:
    from tests.seaweed import SeaweedServer

ROOT = Path(__file__).parents[2]

USES: dict[str, Callable[[str], object]] = {
    "exists": exists,
    "find_file": find_file,
    "open_read": open_read,
    "read_bytes": read_bytes,
    "read_json": read_json,
    "open_parquet": open_parquet,
    "read_table": read_table,
    "list_dir": lambda uri: list(list_dir(uri)),
    "list_files": lambda uri: list(list_files(uri)),
    "put_bytes": lambda uri: put_bytes(uri, b""),
    "put_if_absent": lambda uri: put_if_absent(uri, b""),
    "delete": delete,
}


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong-secret-of-mine"},
            "access denied; check the credentials and the bucket's policy",
        ),
        ({"AWS_ACCESS_KEY_ID": "unknown-key-of-mine"}, "access denied; check the credentials and the bucket's policy"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role",
        ),
    ],
    ids=["wrong secret", "unknown key", "no credentials"],
)
def test_refused_credentials_are_one_clear_access_denied_error_without_a_secret(
    s3: SeaweedServer, changed: dict[str, str], remedy: str
) -> None:
    uri = "s3://credentials/folder/object"
    put_bytes(uri, b"mine")
    environment = {name: value for name, value in {**os.environ, **changed}.items() if value}
    home = {"HOME": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    command = [sys.executable, "-m", "tests.integration.test_s3_credentials", uri]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**environment, **home}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(USES, f"AccessDeniedError: {uri}: {remedy}")
    for secret in (environment.get("AWS_SECRET_ACCESS_KEY"), environment.get("AWS_ACCESS_KEY_ID")):
        assert secret is None or secret not in done.stdout + done.stderr
    assert read_bytes(uri) == b"mine"


def say_what_each_use_raises(uri: str) -> None:
    """In a process of its own: credentials are read once in each."""
    said = {}
    for name, use in USES.items():
        try:
            said[name] = f"returned {use(uri)!r}"
        except Exception as error:  # whatever it is, the test compares it
            said[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(said))


if __name__ == "__main__":
    say_what_each_use_raises(sys.argv[1])
