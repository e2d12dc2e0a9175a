"""A bundle from an STC table: fits features, calibrates the score, and puts both with the network that was trained.

Called alone or by all processes of a group, in the same order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf2vad.bundle.bundle import Bundle, save_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.features.registry import networks_for
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.edges import with_edge_scales
from hf2vad.fitting.hold_out import hold_out
from hf2vad.fitting.measure import measure_normal
from hf2vad.fitting.probe import example_cameras, learnt_seconds, normal_examples, probe_cubes
from hf2vad.fitting.recipe import TrainingPlan
from hf2vad.fitting.sample import NO_CAMERAS, fit_features
from hf2vad.models.settings import Network
from hf2vad.scoring.feature_set import FeatureSet, counted_features
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.versions import versions

if TYPE_CHECKING:
    import torch

    from hf2vad.models.hf2vad import HF2VAD


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, and how it came about."""

    model: HF2VAD | None
    """None for a recipe without a network."""
    networks: tuple[Network, ...]
    """Networks of it that were trained, here or before."""
    plan: TrainingPlan
    """This plan with the selected settings."""
    identity: str
    """Hash of the recipe as it was given, and of the table."""
    history: list[dict[str, Any]]
    """A row an epoch."""
    selection: list[dict[str, Any]]
    """A row a candidate; empty where nothing was chosen."""

    @classmethod
    def without_network(
        cls, plan: TrainingPlan, identity: str, selection: list[dict[str, Any]] | None = None
    ) -> Trained:
        """The result for a recipe that has no network to train."""
        return cls(None, (), plan, identity, [], selection or [])


def put_trained(trained: Trained, table: StcTable, device: torch.device | None) -> None:
    """Fit the features, calibrate the score and put the bundle of a network that was trained on `table`. `device`: of
    the network; None without one."""
    group, plan, recipe = Group.current(device), trained.plan, trained.plan.recipe
    own = {name: settings for name, settings in recipe.features.items() if name in counted_features(recipe.fusion)}
    by_surprise = recipe.fusion.rule == "surprise"
    cameras = Cameras.of(table.files, recipe.camera_pattern, one=recipe.one_camera)
    apart = cameras if by_surprise else NO_CAMERAS
    features, perspective = fit_features(table, own, seed=recipe.training.seed, cameras=apart)
    networks, batch = networks_for(features), recipe.training.batch
    engine = None
    if networks and trained.model is not None and device is not None:
        from hf2vad.engines.eager import EagerEngine  # seconds, which a recipe without networks does not pay

        engine = EagerEngine(trained.model, device=device, batch=batch, networks=networks)
    unit = perspective if recipe.fusion.perspective else None
    unseen = hold_out(table, cameras.apart_of)[1] if recipe.holds_out else None
    measured, plain = measure_normal(table, unseen, FeatureSet(features, engine, batch), unit, group, apart)
    if not group.first:
        return
    if by_surprise:
        features, measured, plain = with_edge_scales(features, measured, plain)
    normal = calibrate(
        measured,
        fusion=recipe.fusion,
        smoothing=recipe.smoothing_of(table),
        where=plan.stc,
        cameras=cameras,
        camera_cubes=recipe.camera_cubes,
        plain=plain,
    )
    bundle = Bundle(
        settings=BundleSettings(
            extraction=table.extraction,
            model=recipe.model,
            fusion=recipe.fusion,
            smoothing=recipe.smoothing_of(table),
            calibration=normal.overall,
            camera_pattern=recipe.camera_pattern,
            cameras=normal.cameras,
            features={name: feature.settings for name, feature in features.items()},
            perspective=perspective,
        ),
        weights={} if trained.model is None else trained.model.weights_of(trained.networks),
        features=features,
        probe=probe_cubes(table, recipe.training.probe_cubes),
        examples=normal_examples(table, recipe.training.examples),
        provenance={
            "settings": trained.identity,
            "job": plan.settings,
            "table": {
                "uri": plan.stc,
                "fingerprint": table.fingerprint,
                "cubes": len(table),
                "files": len(table.files),
                "held_out": 0 if unseen is None else len(unseen),
                "videos": len({file.video for file in table.files}),
                "seconds": round(learnt_seconds(table), 1),
            },
            "examples": list(example_cameras(table, recipe.training.examples, cameras)),
            "history": trained.history,
            "selection": trained.selection,
            **({"cameras": cameras.described()} if cameras.apart and by_surprise else {}),
            "device": _name(device),
            "workers": group.world,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
        },
    )
    save_bundle(plan.out, bundle)


def _name(device: torch.device | None) -> str:
    if device is None or device.type == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)
