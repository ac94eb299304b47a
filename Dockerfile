# syntax=docker/dockerfile:1
# chronon-run with the Spark and the Java that it installs, on Debian slim.
#
#   docker build -t chronon-run .
#   docker run --rm -v "$PWD:/workspace" chronon-run plan
#
# BUILD ARGUMENTS
#   SPARK=1  Spark 3.3.1 and Java 17 are in the image (about 500 MB). With SPARK=0 mount yours and set SPARK_HOME and
#            JAVA_HOME.
#   PIP_INDEX_URL and other settings of pip, as secret `pip`: a file in the form of /etc/pip.conf.

ARG RUST=1.89
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p chronon-run --bin chronon-run \
 && strip target/release/chronon-run

FROM python:3.12-slim-${DEBIAN} AS spark
ARG SPARK=1
ENV CHRONON_RUN_CACHE=/opt/chronon-run
COPY --from=build /src/target/release/chronon-run /usr/local/bin/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    mkdir -p /opt/chronon-run \
 && if [ "$SPARK" = 1 ]; then chronon-run engine install; fi \
 && rm -rf /opt/chronon-run/installing \
 && chmod -R a+rX /opt/chronon-run

FROM debian:${DEBIAN}-slim
# python3: hooks. libnss-wrapper: a name for user ids that have none, which Hadoop's login needs. procps: bin/*.sh of Spark.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libnss-wrapper procps python3 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -m 0777 /workspace
COPY --from=build /src/target/release/chronon-run /usr/local/bin/
COPY --from=spark /opt/chronon-run /opt/chronon-run
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
COPY LICENSE /usr/share/doc/chronon-run/
ENV CHRONON_RUN_CACHE=/opt/chronon-run \
    HOME=/tmp \
    LANG=C.UTF-8
WORKDIR /workspace
# A number without a name: every other one works too (`--user`, OpenShift).
USER 10001:0
STOPSIGNAL SIGTERM
ENTRYPOINT ["entrypoint"]
CMD ["--help"]
