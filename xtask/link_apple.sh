#!/bin/bash
# Links the program and the tests of the Neural Engine for macOS on arm64, from Linux, and looks at what came of it. This
# proves symbols and the shape of the file; it cannot be run here. The linker is zig, from Python's package index; it brings
# libSystem. Apple's other libraries are stood in for by lists of their symbols (apple/libraries.txt).
# Exit code 3: it cannot be done here, and why.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-apple
target=aarch64-apple-darwin
macos=13.0
zig=ziglang==0.17.1

cannot() {
  echo "link_apple: $*" >&2
  exit 3
}

# A library without code: install name and symbols, in the text form that linkers read
stub() { # file, install name, symbols
  mkdir -p "$(dirname "$1")"
  printf -- "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\ninstall-name: '%s'\nexports:\n" "$2" >"$1"
  printf -- "  - targets: [ arm64-macos ]\n    symbols: [ %s ]\n...\n" "${3// /, }" >>"$1"
}

stubs() {
  local name=- install='' symbols='' first rest
  while read -r first rest || [[ -n $first ]]; do
    case $first in
      '#'*) continue ;;
      _*) symbols+="${symbols:+ }$first${rest:+ $rest}" && continue ;;
    esac
    [[ $name == - ]] || write_stub "$name" "$install" "$symbols"
    name=$first install=$rest symbols=''
  done <"$root/xtask/apple/libraries.txt"
  write_stub "$name" "$install" "$symbols"
}

write_stub() { # name, install name, symbols
  case $1 in
    *.framework) stub "$stubs/$1/${1%.framework}.tbd" "$2" "$3" ;;
    *) stub "$stubs/$1.tbd" "$2" "$3" ;;
  esac
}

# What rustc calls as its linker: its name says that it takes a compiler's options
linker() {
  printf '#!/bin/bash\nexec "%s" -m ziglang cc -target aarch64-macos.%s -L "%s" -F "%s" "$@"\n' \
    "$cache/venv/bin/python" "$macos" "$stubs" "$stubs" >"$stubs/zig-clang"
  chmod +x "$stubs/zig-clang"
}

[[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]] || rustup target add "$target" >&2 || cannot "no standard library for $target"
mkdir -p "$cache"
if ! "$cache/venv/bin/python" -m ziglang version >/dev/null 2>&1; then
  python3 -m venv "$cache/venv" >&2 || cannot "python3 -m venv failed"
  "$cache/venv/bin/python" -m pip --disable-pip-version-check install --no-input -q "$zig" >&2 || cannot "pip could not install $zig"
fi
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
stubs
linker
export CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER=$stubs/zig-clang MACOSX_DEPLOYMENT_TARGET=$macos
cd "$root"
cargo build --locked --target "$target" "$@" --bin autoane
tests=$(cargo build --locked --target "$target" "$@" -p ane-macos --test hardware --message-format json |
  python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"): print(message["executable"])')
python3 xtask/macho.py "target/$target/debug/autoane" "$tests"
