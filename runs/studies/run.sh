#!/bin/bash
# A question as a study: declares it, runs it, compares, writes its page.
# Usage: runs/studies/run.sh NAME [SECONDS A RUN] [TRIALS] [MODEL] [more arguments of train]      AUTOANE: the program
# NAME.args beside this file holds the arguments of `search new`; %T in it is the time of a run.
set -euo pipefail
name=$1 seconds=${2:-120} trials=${3:-20} model=${4:-stories-36m}
shift $(($# < 4 ? $# : 4))
here=$(dirname "$0")
autoane=${AUTOANE:-autoane}
study=${OUT:-runs/studies/out}/$name-$seconds
mkdir -p "$(dirname "$study")"
if [[ ! -e $study/study.json ]]; then
  read -ra words < <(grep -v '^#' "$here/$name.args" | sed "s/%T/${seconds}s/g" | tr '\n' ' ')
  "$autoane" search new "$study" "${words[@]}" --trials "$trials" -- "$model" "$@"
fi
"$autoane" search run "$study"
"$autoane" search final "$study"
"$autoane" search report "$study"
