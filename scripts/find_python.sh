#!/usr/bin/env bash
# Print the path of a Python that this project runs on and that can make environments.
set -uo pipefail

check='
import sys
import ensurepip, venv  # Debian leaves them out of its bare python3
if not (3, 11) <= sys.version_info < (3, 15):
    sys.exit(1)
print(sys.executable)
'
for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
  # A name may be there and still not run, as with version managers' stand-ins.
  if command -v "$name" >/dev/null && "$name" -c "$check" 2>/dev/null; then
    exit 0
  fi
done
echo "Python 3.11 or newer was not found: install it from your system's packages," \
  "https://www.python.org or with uv (https://docs.astral.sh/uv)." >&2
exit 1
