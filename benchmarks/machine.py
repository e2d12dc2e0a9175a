"""What a result was measured on."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

import torch


def describe() -> dict[str, object]:
    """Processor, accelerator, versions and date, for a result file."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpus[0].split(":", 1)[1].strip() if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }
