# The gateway as an image: docker build -t fedreg .
#
#   docker run -p 8080:8080 -v fedreg:/var/lib/fedreg -v ./fedreg.yaml:/var/lib/fedreg/fedreg.yaml:ro -e MLFLOW_TOKEN fedreg
#
# The configuration is mounted into the volume: `store.url: sqlite:///fedreg.db` then lies beside it, and stays. It must
# have auth.tokens, since the gateway listens beyond loopback, and leave server.port at 8080.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ONLY_BINARY=:all:
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/build && /opt/build/bin/pip install -c constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY adapters adapters
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist
RUN python -m venv /opt/fedreg \
 && /opt/fedreg/bin/pip install -c constraints.txt "$(echo /dist/fedreg-*.whl)[sagemaker,mlflow,vertex]" \
 && /opt/fedreg/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/fedreg --create-home --shell /usr/sbin/nologin fedreg
COPY --from=build /opt/fedreg /opt/fedreg
ENV PATH=/opt/fedreg/bin:$PATH PYTHONUNBUFFERED=1 FEDREG_CONFIG=/var/lib/fedreg/fedreg.yaml
USER fedreg
WORKDIR /var/lib/fedreg
VOLUME /var/lib/fedreg
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["fedreg"]
CMD ["serve", "--host", "0.0.0.0"]
