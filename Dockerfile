# HUP on CPUs: docker build -t hup .   What is done with it is in docs/container.md.
# HUP_HOME and SOURCE are variables so that tests can take these steps in folders of their own, without a container.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ENV HUP_HOME=/hup SOURCE=/source PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Builds of PyTorch without CUDA, which are gigabytes smaller. They have a version of their own (2.13.0+cpu), which goes
# before the same one of PyPI.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR ${SOURCE}
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv "$HUP_HOME"
RUN "$HUP_HOME/bin/pip" install --extra-index-url "$TORCH_INDEX" "$SOURCE"

FROM python:${PYTHON}-slim-bookworm
# LightGBM links libgomp. The compiler makes HUP's kernels for the processor that they run on, once a container.
RUN apt-get update && apt-get install -y --no-install-recommends g++ libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /hup /hup
# Where fonts, kernels and the like are kept, for whatever user the container runs as.
ENV PATH=/hup/bin:$PATH MPLCONFIGDIR=/var/cache/hup XDG_CACHE_HOME=/var/cache/hup
RUN useradd --create-home --uid 1000 hup && mkdir -p /data "$MPLCONFIGDIR" && chown hup /data && chmod 1777 "$MPLCONFIGDIR"
USER hup
VOLUME /data
WORKDIR /data
ENTRYPOINT ["hup"]
CMD ["--help"]
