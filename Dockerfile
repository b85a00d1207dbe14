# avse on a CPU. Build and use:
#   docker build -t avse .
#   docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" avse enhance input.mp4 -o clean.wav
# For NVIDIA GPUs: Dockerfile.gpu.
FROM python:3.11-slim AS build

# pesq is compiled; nothing of the compiler gets into the second stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/avse
ENV PATH=/opt/avse/bin:$PATH

# The large packages first, in a layer of their own that only other versions rebuild. The build of torch without CUDA
# comes from wherever TORCH_INDEX says; with CUDA the image is several times as large.
ARG TORCH_INDEX=""
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -c constraints.txt torch torchaudio

COPY pyproject.toml MANIFEST.in README.md LICENSE ./
COPY avse ./avse
COPY cli ./cli
COPY checkpoints ./checkpoints
COPY configs ./configs
RUN pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim

RUN useradd --create-home --uid 1000 avse
COPY --from=build /opt/avse /opt/avse
ENV PATH=/opt/avse/bin:$PATH PYTHONUNBUFFERED=1
USER avse
WORKDIR /data
ENTRYPOINT ["avse"]
CMD ["--help"]
