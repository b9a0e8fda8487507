# Two images from one checkout:
#   docker build --target server .    API and keeper; no torch, some 200 MB
#   docker build --target worker .    the worker; torch's wheels bring the CUDA libraries, the host brings the driver
#
# The rooms are not packages of a wheel; they lie in /app, and Python finds them there.

FROM python:3.11-slim AS base
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
# a volume that is mounted there the first time gets this owner
RUN useradd --create-home --uid 10001 lowland && install -d -o lowland -g lowland /data/artifacts /data/downloads
ENV LOWLAND_ARTIFACT_DIR=/data/artifacts
COPY constraints.txt ./

FROM base AS server
RUN pip install -c constraints.txt \
    celery click fastapi httpx2 kombu prometheus-client pydantic pydantic-settings redis rich standardwebhooks structlog uuid-utils \
    'uvicorn[standard]'
COPY lowland lowland
COPY ledger ledger
COPY worker worker
COPY api api
USER lowland
EXPOSE 8000
# a client that follows a job's events would hold the stop up for ever without the time limit
CMD ["uvicorn", "api.main:app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "3"]

FROM base AS worker
RUN pip install -c constraints.txt \
    celery click contourpy httpx2 kombu numpy pillow pyarrow pydantic pydantic-settings redis rich safetensors \
    scikit-learn structlog torch torchvision uuid-utils
COPY lowland lowland
COPY ledger ledger
COPY sam sam
COPY worker worker
USER lowland
CMD ["celery", "-A", "worker.app", "worker"]
