# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Train on a folder of videos, and score it
#
# The four jobs from Python: cut the first half of each video into cubes, train, score the second half, and look at what
# came out. Run it as a script, or open it as a notebook (Jupyter with jupytext):
#
#     VIDEOS=~/videos OUT=trained python examples/train_and_score_a_folder.py
#
# Run again, it goes on where it stopped. `STEPS=20` limits each epoch of training to so many steps, for a first try.

# %%
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset as ds

from hf2vad.cluster.dispatch import open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job

VIDEOS = os.path.expanduser(os.environ.get("VIDEOS", "videos"))
OUT = Path(os.environ.get("OUT", "trained"))
ray = RayConfig()  # an address goes here; without one, RAY_ADDRESS, or Ray is started on this machine; "none": no Ray

# %% [markdown]
# ## Settings
#
# A job is a frozen dataclass. `base` gives the defaults that depend on a preset or a bundle; `replace` changes them.

# %%
extract = replace(
    ExtractJob.base({"preset": "compact", "boxes": None}),
    archive=VIDEOS,
    out=str(OUT / "stc"),
    frames=":50%",
    ray=ray,
)
train = replace(TrainJob.base({"preset": "compact"}), stc=str(OUT / "stc"), out=str(OUT / "bundle"))
steps = int(os.environ.get("STEPS", "600"))  # as long as the flow network trains at least, however small the table
train = replace(train, training=replace(train.training, flow=replace(train.training.flow, least_steps=steps)))
print("frames are worked on at", extract.working.longest, "pixels; the network trains for", steps, "steps at least")

# %% [markdown]
# ## Cubes, a model, scores
#
# Each call returns the exit code that the job would have: 3 when some videos failed.

# %%
with open_cluster(ray):
    codes = [extract_job(extract), train_job(train)]
    score = replace(
        ScoreJob.base({"bundle": train.out}),
        archive=VIDEOS,
        bundle=train.out,
        out=str(OUT / "scores"),
        frames="50%:",
        ray=ray,
    )
    codes.append(score_job(score))
print("exit codes:", codes)

# %% [markdown]
# ## What is most unusual
#
# Events are runs of frames above a threshold that training scores set. Where there is none, the highest frame of each
# video still says where to look first.

# %%
(scores,) = OUT.glob("scores/bundle=*")
for name in ("events", "frames"):
    table = ds.dataset(sorted((scores / name).glob("**/*.parquet"))).to_table()
    by = "peak_score" if name == "events" else "score"
    when = "peak_s" if name == "events" else "pts_s"
    print(f"{name}: {table.num_rows} rows")
    for row in table.sort_by([(by, "descending")]).slice(0, 5).to_pylist():
        if row[by] is not None:
            print(f"  {row['video']} at {row[when]:.1f} s, score {row[by]:.2f}")
