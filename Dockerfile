# The worker, installed from the locked requirements, without build tools and without root.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/dev.txt \
 && python -m venv /opt/cdc \
 && /opt/cdc/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY models/ models/
COPY enrichers/ enrichers/
COPY workers/ workers/
COPY sandbox/ sandbox/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/cdc/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl \
 && /opt/cdc/bin/pip check

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home cdc && install -d -o cdc -g cdc /var/lib/cdc
COPY --from=build /opt/cdc /opt/cdc
ENV PATH=/opt/cdc/bin:$PATH PYTHONUNBUFFERED=1 CDC_DATA_DIR=/var/lib/cdc CDC_WEB_PORT=6066
USER 10001
WORKDIR /var/lib/cdc
# The web views are on loopback, so the probe runs inside.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:6066/ready', timeout=2)"]
ENTRYPOINT ["cdc"]
CMD ["worker"]
