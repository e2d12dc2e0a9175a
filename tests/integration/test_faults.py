"""Storage against a real S3 server through a proxy that breaks one request in five."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.fault_proxy import FaultProxy, Faults
from tests.seaweed import SeaweedServer

WORK = """
import sys
import numpy as np, pyarrow as pa
from hf2vad.storage import *
table = pa.table({"a": np.arange(50_000)})
where = "s3://faults/" + sys.argv[1]
for i in range(20):
    put_bytes(f"{where}/small/{i:02d}", bytes([i]) * 1000)
    put_table(f"{where}/table/{i:02d}.parquet", table)
for i in range(20):
    assert read_bytes(f"{where}/small/{i:02d}") == bytes([i]) * 1000
    assert read_table(f"{where}/table/{i:02d}.parquet").equals(table)
    with open_read(f"{where}/table/{i:02d}.parquet") as file:
        file.seek(100)
        assert len(file.read(50_000)) == 50_000
assert [entry.name for entry in list_files(f"{where}/small")] == [f"{i:02d}" for i in range(20)]
for i in range(0, 20, 2):
    delete(f"{where}/small/{i:02d}")
assert [entry.name for entry in list_dir(f"{where}/small")] == [f"{i:02d}" for i in range(1, 20, 2)]
assert not exists(f"{where}/small/00")
large = b"0123456789abcdef" * (3 * 2**20)
put_bytes(f"{where}/large", large)
assert read_bytes(f"{where}/large") == large
print("all there")
"""


def test_nothing_is_lost_when_one_request_in_five_fails(s3: SeaweedServer) -> None:
    with FaultProxy(s3.endpoint, Faults.evenly(0.2, seed=0)) as proxy:
        env = {**os.environ, **s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        done = subprocess.run([sys.executable, "-c", WORK, "0"], env=env, capture_output=True, text=True)
        assert done.stdout == "all there\n", done.stderr[-2000:]
        for fault in ("internal", "unavailable", "slow_down", "reset", "lost", "truncated", "delayed"):
            assert proxy.counts[fault] > 0
