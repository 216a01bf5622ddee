# Two images: `worker` (the last one, what runs in production) and `sandbox` (AWS stand-in and demo, for docker-compose.yml).
# Locked requirements, no build tools and no pip in what is shipped, no root. docs/docker.md says what was tried.
ARG PYTHON_IMAGE=python:3.13-slim
# What compiling takes: see docs/decisions/0065. Left empty, nothing is compiled.
ARG COMPILER="gcc libc6-dev"

FROM ${PYTHON_IMAGE} AS build
ARG COMPILER
RUN [ -z "$COMPILER" ] || { export DEBIAN_FRONTEND=noninteractive \
 && apt-get -qq update && apt-get -qqy install --no-install-recommends $COMPILER && rm -rf /var/lib/apt/lists/*; }
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements/build.txt requirements/image.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install -q --require-hashes --no-deps -r requirements/build.txt \
 && python -m venv --without-pip /opt/cdc \
 && /opt/build/bin/pip --python /opt/cdc/bin/python install -q --no-compile --require-hashes --no-deps \
    -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY models/ models/
COPY enrichers/ enrichers/
COPY workers/ workers/
COPY sandbox/ sandbox/
RUN if [ -n "$COMPILER" ]; then export HATCH_BUILD_HOOK_ENABLE_MYPYC=true; fi \
 && /opt/build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/build/bin/pip --python /opt/cdc/bin/python install -q --no-compile --no-deps /wheel/*.whl \
 && /opt/build/bin/pip --python /opt/cdc/bin/python check \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/cdc/lib

FROM build AS build-sandbox
COPY requirements/sandbox.txt requirements/
RUN /opt/build/bin/pip --python /opt/cdc/bin/python install -q --no-compile --require-hashes --no-deps \
    -r requirements/sandbox.txt

FROM ${PYTHON_IMAGE} AS base
RUN useradd --uid 10001 --create-home cdc && install -d -o cdc -g cdc -m 0750 /var/lib/cdc /run/cdc
# Safe path (python -P): nothing is imported from where a command happens to be started.
ENV PATH=/opt/cdc/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
USER 10001:10001
WORKDIR /var/lib/cdc
STOPSIGNAL SIGTERM
ENTRYPOINT ["cdc"]

FROM base AS sandbox
COPY --from=build-sandbox /opt/cdc /opt/cdc
ENV CDC_SANDBOX_DIR=/tmp/sandbox
CMD ["demo", "--help"]

FROM base AS worker
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="cdc-worker" \
      org.opencontainers.image.description="Database change streams on Kinesis to clean, redacted events on EventBridge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/cdc /opt/cdc
ENV CDC_DATA_DIR=/var/lib/cdc/data CDC_WEB_PORT=6066 CDC_HEALTH_PORT=8081
# Scratch of Faust: may be lost at any time. With a read-only root give it a volume or a tmpfs, like /tmp.
VOLUME /var/lib/cdc
EXPOSE 6066 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/readyz', timeout=3)"]
CMD ["worker"]
