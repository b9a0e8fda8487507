# Three images from one checkout:
#   docker build --target api .       the API; no torch
#   docker build --target keeper .    the keeper; the same layers
#   docker build --target worker .    the worker; torch's wheels bring the CUDA libraries, the host brings the driver
#   docker build --target worker --build-arg TORCH_INDEX=URL .
#                                     another torch, from an index of packages: PyTorch's own has one for CPUs, smaller
#
# The rooms are not packages of a wheel; they lie in /app, and Python finds them there. What they need is said in
# pyproject.toml alone. Everything runs as `lowland`, writes to /data and /tmp only, and bears a read-only root.

FROM python:3.11-slim AS base
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
# a volume that is mounted there the first time gets this owner
RUN useradd --create-home --uid 10001 lowland \
    && install -d -o lowland -g lowland /data/artifacts /data/downloads /data/cache
ENV LOWLAND_ARTIFACT_DIR=/data/artifacts
# without the rooms pip builds a wheel of nothing but requirements, again only where these change; it wants two more
# files, whatever is in them
COPY pyproject.toml constraints.txt ./
RUN touch README.md LICENSE

FROM base AS server
RUN pip install -c constraints.txt '.[api]'
COPY LICENSE ./
COPY lowland lowland
COPY ledger ledger
COPY worker worker
COPY api api
COPY stack stack
USER lowland

FROM server AS api
EXPOSE 8000
# a client that follows a job's events would hold the stop up for ever without the time limit
CMD ["uvicorn", "api.main:app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "3", "--ws", "none"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]

FROM server AS keeper
CMD ["python", "-m", "worker.keeper"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-m", "worker.alive", "keeper"]

FROM base AS worker
# torch.compile builds its kernels with it
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
ARG TORCH_INDEX=
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[worker]'
COPY LICENSE ./
ENV LOWLAND_DOWNLOAD_DIR=/data/downloads LOWLAND_CACHE_DIR=/data/cache/decoded TORCH_HOME=/data/cache/torch \
    TORCHINDUCTOR_CACHE_DIR=/data/cache/inductor TRITON_CACHE_DIR=/data/cache/triton \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY lowland lowland
COPY ledger ledger
COPY sam sam
COPY worker worker
# for `lowland data get`
COPY stack stack
USER lowland
CMD ["celery", "-A", "worker.app", "worker"]
# the start takes as long as torch takes to load
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "worker.alive", "worker"]
