#!/bin/bash
# Prints the path of a Python that has coremltools; makes it once, in the cache folder of the user. Messages go to stderr;
# exit 1 with the reason where it cannot be made.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-judge
python=$cache/venv/bin/python

die() {
  echo "judge: $*" >&2
  exit 1
}

mkdir -p "$cache"
exec 8>"$cache/judge.lock"
flock 8
[[ -x $python ]] || python3 -m venv "$cache/venv" >&2 || die "python3 -m venv failed"
if ! "$python" -c "import coremltools" >/dev/null 2>&1; then
  echo "judge: installing coremltools" >&2
  "$python" -m pip --disable-pip-version-check install --no-input -q "coremltools==9.0" 8>&- >&2 || die "pip could not install coremltools"
fi
echo "$python"
