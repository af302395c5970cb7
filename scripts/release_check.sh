#!/usr/bin/env bash
# Build what is released and try it out, each time in a fresh environment, with the
# newest napari and the oldest one that we promise: release_check.sh PYTHON
set -euo pipefail

python=$1
largest=12000000 # bytes of the wheel
oldest=$(sed -n 's/^napari==//p' constraints-lower.txt)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH

# Addresses for the check alone; the release workflow knows the true ones.
GITHUB_REPOSITORY=${GITHUB_REPOSITORY:-owner/name} \
  "$python" -m build --no-isolation --outdir "$folder" . >/dev/null
"$python" -m twine check --strict "$folder"/*

wheel=$(echo "$folder"/*.whl)
size=$(wc -c <"$wheel")
if [ "$size" -gt "$largest" ]; then
  echo "The wheel has $size bytes, but at most $largest are allowed." >&2
  exit 1
fi
echo "The wheel has $size bytes."

export CONSTRAINTS=$PWD/constraints.txt
scripts/smoke.sh "$folder"/*.tar.gz
scripts/smoke.sh "$wheel" newest
# Nothing holds what is around the oldest napari: this is what a user gets today.
CONSTRAINTS='' scripts/smoke.sh "$wheel" "$oldest"
