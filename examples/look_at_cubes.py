# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Look at cubes
#
# What the network sees of an archive: for each box five crops and the four flows between them. Run it as a script, or
# open it as a notebook (Jupyter with jupytext). It reads an STC table, as `hf2vad extract` or `make demo` leaves it:
#
#     STC=demo/stc PICTURE=cubes.png python examples/look_at_cubes.py

# %%
import os
from pathlib import Path

import cv2
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from hf2vad.tables.cubes import appearance_view, flow_view

STC = Path(os.environ.get("STC", "demo/stc"))
PICTURE = os.environ.get("PICTURE", "cubes.png")

# %% [markdown]
# ## The table
#
# One file a shard, one row a cube. Boxes are in source pixels; the two binary columns are the cube.

# %%
files = sorted(STC.glob("stc/**/*.parquet"))
table = ds.dataset(files)
print(table.schema)
print(f"{table.count_rows()} cubes in {len(files)} files")

# %% [markdown]
# ## How fast boxes move
#
# Speed is the mean length of a cube's flow vectors, in source pixels a frame. Files are read one at a time: a table may
# be larger than memory.

# %%
speeds, places = [], []
for file in files:
    flow = flow_view(pq.read_table(file, columns=["flow"])["flow"].combine_chunks())
    speeds.append(np.linalg.norm(flow.astype(np.float32), axis=-1).mean((1, 2, 3)))
    places += [(file, row) for row in range(len(flow))]
speed = np.concatenate(speeds)
for share in (0.05, 0.5, 0.95, 1.0):
    print(f"{share:4.0%} of the cubes move at most {np.quantile(speed, share):5.2f} pixels a frame")

# %% [markdown]
# ## Six of them, from slow to fast
#
# A row each: the five crops, then the four flows. Hue is the direction of a vector, brightness its length.


# %%
def colours(vectors: np.ndarray, longest: float) -> np.ndarray:
    """Flow (H, W, 2) as a picture (H, W, 3) BGR."""
    length, angle = cv2.cartToPolar(vectors[..., 0], vectors[..., 1], angleInDegrees=True)
    hsv = np.stack([angle / 2, np.full_like(length, 255), 255 * np.clip(length / longest, 0, 1)], -1)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)


# %%
ranks = (np.linspace(0.05, 0.95, 6) * (len(speed) - 1)).round().astype(int)
cubes = []
for number in np.argsort(speed)[ranks]:
    file, row = places[number]
    one = pq.read_table(file, columns=["appearance", "flow"]).slice(row, 1).combine_chunks()
    crops, flows = (one[name].chunk(0) for name in ("appearance", "flow"))
    cubes.append((appearance_view(crops)[0], flow_view(flows)[0].astype(np.float32)))
longest = max(0.1, float(np.quantile([np.linalg.norm(flow, axis=-1) for _, flow in cubes], 0.98)))
rows = [np.hstack([*crops, *(colours(field, longest) for field in flow)]) for crops, flow in cubes]
picture = cv2.resize(np.vstack(rows), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
cv2.imwrite(PICTURE, picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
print(f"{PICTURE}: {picture.shape[1]}×{picture.shape[0]}")
