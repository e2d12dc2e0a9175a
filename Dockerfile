# syntax=docker/dockerfile:1
# The image of every node: Ray, the jobs and all they need, at the versions of requirements.lock.
#
#   docker build --build-arg VARIANT=gpu      -t hf2vad:0.1.0-gpu .       CUDA, for NVIDIA GPUs (default)
#   docker build --build-arg VARIANT=tensorrt -t hf2vad:0.1.0-tensorrt .  the same, and TensorRT
#   docker build --build-arg VARIANT=cpu      -t hf2vad:0.1.0-cpu .       without CUDA
#
# Runs as user 1000; docs/deploy.md has how to use it.

ARG VARIANT=gpu

FROM ubuntu:24.04 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Ubuntu keeps no old versions of its packages, so they cannot be pinned; the release is.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.lock /build/
# Everything but PyTorch, Triton and the CUDA libraries, which differ between the variants.
RUN sed -E '/^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==/,/[^\\]$/d' /build/requirements.lock >/build/common.lock \
    && pip install --no-cache-dir --no-deps --require-hashes --requirement /build/common.lock

FROM build AS cpu-build
# PyTorch's own index has the CPU build under the same version; its hash is not in the lock.
RUN version=$(sed -nE 's/^torch==([^ ]+).*/\1/p' /build/requirements.lock) \
    && pip install --no-cache-dir --no-deps --index-url https://download.pytorch.org/whl/cpu "torch==$version"

FROM build AS gpu-build
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement /build/requirements.lock

FROM gpu-build AS tensorrt-build
# TensorRT's libraries come from NVIDIA's index. torch-tensorrt belongs to one release of PyTorch, and must not change it.
RUN version=$(sed -nE 's/^torch==([^ ]+).*/\1/p' /build/requirements.lock) \
    && sed -nE 's/^([A-Za-z0-9._-]+==[^ ]+).*/\1/p' /build/requirements.lock >/build/versions.txt \
    && pip install --no-cache-dir --extra-index-url https://pypi.nvidia.com --constraint /build/versions.txt \
        "torch-tensorrt==${version%.*}.*"

FROM ${VARIANT}-build AS packed
COPY pyproject.toml README.md LICENSE /build/
COPY hf2vad /build/hf2vad
COPY jobs /build/jobs
RUN pip install --no-cache-dir --no-deps --no-build-isolation /build

FROM ubuntu:24.04 AS cpu-base
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS gpu-base
FROM gpu-base AS tensorrt-base

FROM ${VARIANT}-base
# g++ and python3-dev: torch.compile and Triton build code where they run. rsync: Ray's cluster launcher copies files.
# wget: KubeRay asks nodes by it whether they are well. profile.d: Ray's launcher runs its commands in login shells.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-dev rsync wget \
    && rm -rf /var/lib/apt/lists/* \
    && userdel --remove ubuntu \
    && useradd --uid 1000 --create-home --shell /bin/bash vad \
    && install --directory --owner vad --group vad --mode 700 /home/vad/.ray \
    && echo "export PATH=/opt/venv/bin:\$PATH" >/etc/profile.d/hf2vad.sh
COPY --from=packed /opt/venv /opt/venv
COPY jobs /opt/hf2vad/jobs
COPY cluster/submit_nightly.py cluster/smoke.py /opt/hf2vad/
# HOME: Ray's launcher asks the image for it. `video` is for NVDEC, which nothing uses: decoding is on CPUs.
ENV HOME=/home/vad \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAY_AUTH_MODE=token \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 1000:1000
WORKDIR /home/vad
CMD ["python", "/opt/hf2vad/jobs/score_archive.py", "--help"]
