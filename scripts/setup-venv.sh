#!/usr/bin/env bash
# Makes .venv with both distributions (editable) and the development tools. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
  echo "setup: '$python' is missing or older than Python 3.10. Install Python 3.11, or name one: make PYTHON=/path/to/python3 test" >&2
  exit 3
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
  else
    echo "setup: '$python' cannot make virtual environments. Type: sudo apt-get install python3-venv" >&2
    exit 3
  fi
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'   # 25.1 brought --group
.venv/bin/python -m pip install --quiet -e ./runtime -e . --group dev
touch .venv/.ready
