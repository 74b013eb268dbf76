# The gateway as an image: docker build -t fedreg .  How it is run: docs/deploying.md
#
#   docker run -p 8080:8080 -v fedreg:/var/lib/fedreg -v ./fedreg.yaml:/etc/fedreg/fedreg.yaml:ro -e MLFLOW_TOKEN fedreg
#
# The configuration must have auth.tokens, since the gateway listens beyond loopback. Store and port are set here, and
# environment beats file: the store lies in the volume, and the health check knows the port.

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
 && /opt/fedreg/bin/pip install -c constraints.txt "$(echo /dist/fedreg-*.whl)[sagemaker,mlflow,azureml,huggingface,vertex]" \
 && /opt/fedreg/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
RUN groupadd --gid 10001 fedreg \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/fedreg --create-home --shell /usr/sbin/nologin fedreg
COPY --from=build /opt/fedreg /opt/fedreg
ENV PATH=/opt/fedreg/bin:$PATH PYTHONUNBUFFERED=1 FEDREG_CONFIG=/etc/fedreg/fedreg.yaml \
    FEDREG__STORE__URL=sqlite:////var/lib/fedreg/fedreg.db FEDREG__SERVER__PORT=8080
# By number: Kubernetes' runAsNonRoot can't tell what a name stands for.
USER 10001:10001
WORKDIR /var/lib/fedreg
VOLUME /var/lib/fedreg
EXPOSE 8080
# Past any HTTP_PROXY of the environment, which urllib would ask for loopback, too.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['FEDREG__SERVER__PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["fedreg"]
CMD ["serve", "--host", "0.0.0.0"]
