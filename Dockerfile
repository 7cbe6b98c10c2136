# The page, and every other verb: docs/install.md.
#   docker build --tag ovvis .                                                             without CUDA
#   docker build --tag ovvis --build-arg TORCH=https://download.pytorch.org/whl/cu130 .    with
# --build-arg EXTRAS=web,ray brings what a Ray cluster needs too: docs/cluster.md.

FROM python:3.13-slim-trixie AS build
ARG TORCH=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/ovvis
ENV PATH=/opt/ovvis/bin:$PATH
# PyTorch first, and apart: it is most of the size, and it changes less often than the rest.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir "torch>=2.14" "torchvision>=0.29" --index-url "$TORCH"
WORKDIR /source
COPY pyproject.toml README.md CHANGELOG.md LICENSE THIRD_PARTY_NOTICES.md ./
COPY src src
ARG EXTRAS=web
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[$EXTRAS]"

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="ovvis" \
      org.opencontainers.image.source="https://github.com/ovvis/ovvis" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 1000 ovvis \
    && mkdir /cache /data \
    && chown ovvis:ovvis /cache /data
COPY --from=build /opt/ovvis /opt/ovvis
# Weights and text embeddings lie in /cache, videos and results in /data: mount both to keep them.
ENV PATH=/opt/ovvis/bin:$PATH \
    OVVIS_CACHE=/cache \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
WORKDIR /data
VOLUME ["/cache", "/data"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8000), 3).close()"]
ENTRYPOINT ["ovvis"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
