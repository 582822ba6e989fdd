# target-databox as a small image that runs as nobody in particular:
#
#     docker build --tag target-databox .
#
# The first stage has pip and the sources; only what it installs is in the image.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY target_databox target_databox
# `--build-arg EXTRAS=[emulator]` adds databox-emulator.
ARG EXTRAS=""
RUN python -m venv --without-pip /opt/target-databox
RUN pip --python /opt/target-databox/bin/python install --no-cache-dir --quiet ".${EXTRAS}"

FROM python:3.13-slim
COPY --from=build /opt/target-databox /opt/target-databox
ENV PATH=/opt/target-databox/bin:$PATH
# A number: no user has to exist, and `--user` may name another one that owns what is mounted.
USER 10001:10001
WORKDIR /data
# As a list: no shell comes between the container's signals and the target.
ENTRYPOINT ["target-databox"]
