# Made by shardyard: the same project gives the same bytes. Least often changed first, the code last.
FROM 763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.1-gpu-py310

ARG INDEX="https://example.com/\"simple\""

COPY ca-bundle.crt /opt/shardyard/ca-bundle.crt

# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      git \
      openssh-server \
 && rm -rf /var/lib/apt/lists/*

COPY wheelhouse/ /opt/shardyard/wheelhouse/
COPY requirements.txt /opt/shardyard/requirements.txt
RUN --mount=type=secret,id=netrc,target=/root/.netrc --mount=type=secret,id=token PIP_CERT=/opt/shardyard/ca-bundle.crt SSL_CERT_FILE=/opt/shardyard/ca-bundle.crt PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --no-cache-dir --find-links /opt/shardyard/wheelhouse -r /opt/shardyard/requirements.txt

# hadolint ignore=DL3059
RUN --mount=type=secret,id=netrc,target=/root/.netrc --mount=type=secret,id=token echo hello

# The ranks talk over MPI: mpi4py must load, with the MPI library of the image.
RUN python3 -c "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI" 2>/dev/null \
 || { PIP_CERT=/opt/shardyard/ca-bundle.crt SSL_CERT_FILE=/opt/shardyard/ca-bundle.crt PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --no-cache-dir --find-links /opt/shardyard/wheelhouse "mpi4py>=3.1" \
      && python3 -c "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI"; } \
 || { echo "shardyard: mpi4py does not load in this image: it has no MPI library, or pip could not install mpi4py." \
           "Add an MPI to [image] apt, for example: apt = [\"libopenmpi-dev\", \"openmpi-bin\"]" >&2; exit 1; }

ENV ALPHA="a \"\$HOME\""
ENV ZETA="z"

ADD runtime.tar /
ENV PYTHONPATH="/opt/shardyard/lib${PYTHONPATH:+:$PYTHONPATH}"
ENV SAGEMAKER_SUBMIT_DIRECTORY=/opt/ml/code
ENV PATH="/opt/ml/code:${PATH}"
ENV PATH="/opt/shardyard/bin:${PATH}"
ENV SAGEMAKER_PROGRAM="train.py"

# ssh and the MPI launcher want a name for whoever runs them; what the job writes lies under /opt/ml.
RUN { getent passwd trainer >/dev/null || useradd --create-home trainer; } \
 && mkdir -p /opt/ml && chown trainer /opt/ml
# hadolint ignore=DL3066
USER trainer

LABEL org.opencontainers.image.title="demo" shardyard.runtime.version="0.1.0"

ADD code.tar /
