# The command in a container.
#
#   docker build -t s3net-jax .
#   docker run --rm --user "$(id -u)" -v "$PWD:/data" s3net-jax segment photo.jpg --out results
#
# For NVIDIA GPUs (the CUDA libraries come with JAX's wheels; the host needs only the driver):
#
#   docker build -t s3net-jax:cuda --build-arg EXTRAS=medical,cuda13 .
#   docker run --rm --gpus all --user "$(id -u)" -v "$PWD:/data" s3net-jax:cuda info
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY kernels kernels
COPY s3net_jax s3net_jax
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG EXTRAS=medical
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[${EXTRAS}]" && rm -r /wheels
# Images and results are of the user who runs the container; nobody needs to be root.
RUN useradd --create-home s3net
USER s3net
WORKDIR /data
ENTRYPOINT ["s3net"]
CMD ["--help"]
