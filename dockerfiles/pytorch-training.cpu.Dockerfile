# A stand-in for 763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.13.0-cpu-py311-ubuntu22.04-sagemaker
# on machines with no AWS account: Python 3.11, torch for CPUs, Open MPI, an ssh server. What SageMaker's own
# toolkit adds to the real one (`train`) is left out: an image of Shardyard brings its own.
#
#   docker build -f dockerfiles/pytorch-training.cpu.Dockerfile -t NAME dockerfiles \
#       --build-arg PIP_OPTIONS="--extra-index-url URL-OF-THE-CPU-WHEELS"
#
# Without PIP_OPTIONS pip may choose a build of torch for GPUs, which works but is several times larger.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

# Nothing is fetched when the base has all of them.
ARG APT="ca-certificates openmpi-bin openssh-client openssh-server procps python3 python3-venv"
RUN if ! dpkg -s ${APT} >/dev/null 2>&1; then \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${APT} \
        && rm -rf /var/lib/apt/lists/*; \
    fi \
    && rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub \
    && mkdir -p /run/sshd /opt/ml

ARG PIP_OPTIONS=""
ARG TORCH=2.13.0
# Byte code stays: without it every container would compile torch again at its first import.
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check ${PIP_OPTIONS} \
        "torch==${TORCH}" numpy scikit-learn mpi4py \
    && rm -rf /opt/venv/lib/python3*/site-packages/torch/include /opt/venv/lib/python3*/site-packages/torch/test \
    && find /opt/venv -name '*.a' -delete \
    && cd /opt/venv/lib/python3*/site-packages \
    && find networkx scipy sklearn sympy -type d -name tests -prune -exec rm -rf {} +

ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8
