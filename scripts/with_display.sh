#!/usr/bin/env bash
# Run a command with a display: the one that is there, or Xvfb.
set -euo pipefail

if [ "$(uname -s)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] ||
  ! command -v xvfb-run >/dev/null; then
  exec "$@"
fi
exec xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" "$@"
