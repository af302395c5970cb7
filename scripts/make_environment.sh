#!/usr/bin/env bash
# Make the environment of this checkout: make_environment.sh FOLDER [CONSTRAINTS]
# Needs Python 3.11 or newer, or uv; does not look at an activated environment.
set -euo pipefail

folder=$1
constraints=${2:-constraints.txt}
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

if [ ! -x "$folder/bin/python" ]; then
  if python=$(scripts/find_python.sh); then
    "$python" -m venv --clear "$folder"
  elif command -v uv >/dev/null; then
    uv venv --quiet --clear --seed --python 3.12 "$folder"
  else
    exit 1
  fi
fi
python=$folder/bin/python

# --group came with pip 25.1.
"$python" -m pip install -qq "pip>=25.1"

# On Linux the package index has torch for NVIDIA cards only, gigabytes of it. PyTorch's
# own index has one for machines without such a card.
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null &&
  ! "$python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"
then
  "$python" -m pip install -qq --retries 1 --timeout 20 -c "$constraints" torch \
    --index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
    echo "PyTorch's own index did not answer; taking torch from the package index."
fi

echo "Installing into $folder (the first time takes some minutes)"
"$python" -m pip install -qq -c "$constraints" -e ".[all]" --group dev
