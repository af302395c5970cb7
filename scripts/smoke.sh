#!/usr/bin/env bash
# Install a wheel or a source distribution in a fresh environment and use it:
# smoke.sh FILE [NAPARI]
# NAPARI is "newest" or a version; then training and prediction run in a viewer, too.
# CONSTRAINTS may name a file of versions.
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
file=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
napari=${2:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" # away from the sources

"$("$scripts/find_python.sh")" -m venv env
pip=(env/bin/python -m pip install -qq --disable-pip-version-check)
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
  "${pip[@]}" --retries 1 torch --index-url https://download.pytorch.org/whl/cpu \
    2>/dev/null || true
fi
wanted=("$file${napari:+[all]}")
if [ -n "$napari" ] && [ "$napari" != newest ]; then
  wanted+=("napari[all]==$napari")
fi
"${pip[@]}" ${CONSTRAINTS:+-c "$CONSTRAINTS"} "${wanted[@]}"

env/bin/napari-unet --version
env/bin/napari-unet doctor
env/bin/python - <<'PYTHON'
import numpy as np
import napari_unet
from napari_unet.sample_data import nuclei_2d

sample = nuclei_2d(shape=(128, 128))
model = napari_unet.train(
    sample.image, sample.annotation, annotation="sparse", task="objects", max_steps=2,
    batch_size=2, base_channels=4,
)
model.save("smoke.bioimage.io.zip")
assert napari_unet.predict("smoke.bioimage.io.zip", sample.image).dtype == np.int32
PYTHON
env/bin/napari-unet info smoke.bioimage.io.zip
env/bin/python -m npe2 validate napari-unet-live
if [ -n "$napari" ]; then
  "$scripts/with_display.sh" env/bin/python -m npe2 validate --imports napari-unet-live
  "$scripts/with_display.sh" env/bin/napari-unet demo --no-show --minutes 0.5
fi
echo "$(basename "$file") works${napari:+ in napari ($napari)}."
