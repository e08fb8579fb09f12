# syntax=docker/dockerfile:1
# Two stages: the first builds a wheel and installs it, the second takes what was installed and no tools.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/plughost \
 && /opt/plughost/bin/pip install --no-cache-dir ".[standard]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin plughost \
 && install -d -o plughost -g plughost -m 0700 /data /secrets
COPY --from=build /opt/plughost /opt/plughost
ENV PATH=/opt/plughost/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PLUGHOST_HOST__DATA_DIR=/data
USER plughost
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# serve drains requests on SIGTERM, which is what a container is stopped by.
STOPSIGNAL SIGTERM
ENTRYPOINT ["plughost"]
CMD ["serve", "--host", "0.0.0.0", "--log-format", "json"]
