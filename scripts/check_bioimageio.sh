#!/usr/bin/env bash
# Give what we save to the official library of the BioImage Model Zoo, in the version
# that is newest and in the one that ilastik uses: check_bioimageio.sh PYTHON [NETWORKS]
# PYTHON is that of this project; each version gets an environment of its own.
set -euo pipefail

ours=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 BIOIMAGEIO_PERFORM_IO_CHECKS=0
# onnxruntime tells its makers about each use otherwise.
export ORT_DISABLE_TELEMETRY=1
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH

"$ours" -c "import onnx, onnxscript, onnxruntime" 2>/dev/null ||
  "$ours" -m pip install -qq -c constraints.txt -e ".[onnx]"

environment() { # VERSION PYDANTIC
  local place=.venv-bioimageio-$1
  if [ ! -e "$place/.ready" ]; then
    echo "Making $place (the first time takes some minutes)"
    "$(scripts/find_python.sh)" -m venv --clear "$place"
    local torch
    torch=$(grep '^torch==' constraints.txt)
    if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
      "$place/bin/python" -m pip install -qq --retries 1 --timeout 20 "$torch" \
        --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || true
    fi
    "$place/bin/python" -m pip install -qq "$torch" "bioimageio.core==$1" "$2" \
      onnxruntime
    touch "$place/.ready"
  fi
}

"$ours" scripts/write_packages.py "$folder" "$@"
# Newer pydantics break both: every package would be called invalid.
environment 0.11.0 "pydantic<2.14"
environment 0.10.2 "pydantic<2.12"
for version in 0.11.0 0.10.2; do
  ".venv-bioimageio-$version/bin/python" scripts/check_packages.py "$folder"
done
