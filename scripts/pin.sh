#!/usr/bin/env bash
# Write the versions of an environment into constraints.txt: pin.sh PYTHON
set -euo pipefail

versions=$("$1" -m pip freeze --exclude-editable)
{
  # The comment at the top stays.
  sed '/^[^#]/,$d' constraints.txt
  # 2.13.0+cpu and 2.13.0+cu130 are both 2.13.0 for whoever installs.
  grep -E '^[A-Za-z0-9._-]+==' <<<"$versions" | sed -E 's/\+[A-Za-z0-9.]+$//'
} >constraints.txt.new
mv constraints.txt.new constraints.txt
