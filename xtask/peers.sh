#!/bin/bash
# Prints the path of a Python that has torch, transformers, tokenizers, sentencepiece, gguf, safetensors, numpy,
# tensorboard and peft; makes it once, in the cache folder of the user. Messages go to stderr; exit 1 with the reason where it cannot
# be made.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup=${AUTOANE_SHARED:-$root/../shared}/peers/setup.sh
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-peers
packages=(numpy safetensors tokenizers torch transformers)

die() {
  echo "peers: $*" >&2
  exit 1
}

has() { "$1" -c "import ${2//-/_}" 2>/dev/null; }

install() { # python, packages...
  local python=$1
  shift
  echo "peers: installing $*" >&2
  "$python" -m pip --disable-pip-version-check install --no-input -q "$@" >&2 || die "pip could not install: $*"
}

own_venv() {
  [[ -x $cache/venv/bin/python ]] || python3 -m venv "$cache/venv" >&2 || die "python3 -m venv failed"
  local package
  for package in "${packages[@]}"; do
    has "$cache/venv/bin/python" "$package" || install "$cache/venv/bin/python" "$package"
  done
  echo "$cache/venv/bin/python"
}

mkdir -p "$cache"
exec 8>"$cache/peers.lock"
flock 8
if [[ -x $setup ]]; then
  python=$("$setup" 8>&-) || die "$setup failed"
else
  python=$(own_venv)
fi
for package in tensorboard sentencepiece gguf peft; do
  has "$python" "$package" || install "$python" "$package"
done
echo "$python"
