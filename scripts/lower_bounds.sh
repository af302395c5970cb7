#!/usr/bin/env bash
# Run the tests with the oldest versions that pyproject.toml allows:
# lower_bounds.sh [ARGUMENTS OF PYTEST]
set -euo pipefail

folder=.venv-lower-bounds
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH

if [ ! -e "$folder/.ready" ] || [ constraints-lower.txt -nt "$folder/.ready" ] ||
  [ pyproject.toml -nt "$folder/.ready" ]; then
  # Old versions have no wheels for newer Pythons.
  python=$(PYTHON=python3.11 scripts/find_python.sh)
  "$python" -m venv --clear "$folder"
  pip=("$folder/bin/python" -m pip install -qq)
  "${pip[@]}" "pip>=25.1"
  torch=$(grep '^torch==' constraints.txt)
  if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
    "${pip[@]}" --retries 1 "$torch" \
      --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || true
  fi
  "${pip[@]}" -c constraints-lower.txt "$torch" "napari[pyqt6]" -e . --group test \
    build hatchling
  touch "$folder/.ready"
fi
exec scripts/with_display.sh "$folder/bin/python" -m pytest -m "not slow" "$@"
