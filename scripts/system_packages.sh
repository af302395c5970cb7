#!/usr/bin/env bash
# Install what Qt needs to open a window on Linux, and Xvfb for machines without a
# display. Where this may not be done, say what is missing; never fail: the Python
# side works without a window.
set -uo pipefail

[ "$(uname -s)" = Linux ] || exit 0

packages=(
  xvfb libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1
  libxcb-image0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0
  libegl1 libgl1 libdbus-1-3
)

# Elsewhere packages have other names; Qt's own message then tells what it lacks.
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  command -v xvfb-run >/dev/null || echo "For runs without a display, install" \
    "Xvfb (xvfb-run) with your system's package manager."
  exit 0
fi

# Debian's Python cannot make environments without python3-venv.
if ! command -v uv >/dev/null && ! "$(dirname "$0")/find_python.sh" >/dev/null 2>&1
then
  packages+=(python3 python3-venv)
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "System packages are missing; install them with:" \
      "sudo apt-get install ${missing[*]}"
    exit 0
  fi
fi

install=("${as_root[@]+"${as_root[@]}"}" env DEBIAN_FRONTEND=noninteractive apt-get)
echo "Installing system packages: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a fresh machine may be empty or old: update only when needed.
if "${install[@]}" install -y --no-install-recommends "${missing[@]}" \
    >"$log" 2>&1 </dev/null ||
  { "${install[@]}" update >>"$log" 2>&1 </dev/null &&
    "${install[@]}" install -y --no-install-recommends "${missing[@]}" \
      >>"$log" 2>&1 </dev/null; }
then
  exit 0
fi
tail -n 5 "$log"
echo "They could not be installed; install them with:" \
  "sudo apt-get install ${missing[*]}"
