#!/bin/bash
# Prints the path of a Chromium, which is installed where the system lets it. Exit code 3: none can be had.
set -euo pipefail
find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! find_browser; then
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get install -y --no-install-recommends chromium >/dev/null 2>&1 || true
  fi
  find_browser || { echo "no Chromium, and apt-get cannot install one" >&2; exit 3; }
fi
