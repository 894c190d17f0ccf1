#!/bin/bash
# A question as a study: declares it, runs it, compares the winner with the baseline, writes its page. Again, it goes on.
# Usage: runs/studies/run.sh NAME [BUDGET [TRIALS]] [-- MORE ARGUMENTS OF TRAIN]
# NAME.args beside this file holds the arguments of `search new`; %{X} in it is the budget of a run, X unless BUDGET is given.
# AUTOANE: the program; OUT: where studies go [runs/studies/out]; WORKERS: trials at a time [1].
set -euo pipefail
name=${1:?usage: run.sh NAME [BUDGET [TRIALS]] [-- MORE ARGUMENTS OF TRAIN]}
shift
budget='' trials=''
[[ $# -eq 0 || $1 == -- ]] || { budget=$1; shift; }
[[ $# -eq 0 || $1 == -- ]] || { trials=$1; shift; }
[[ $# -eq 0 ]] || shift
autoane=${AUTOANE:-autoane}
text=$(grep -v '^#' "$(dirname "${BASH_SOURCE[0]}")/$name.args" | tr '\n' ' ')
default=$(sed -n 's/.*%{\([^}]*\)}.*/\1/p' <<<"$text")
study=${OUT:-runs/studies/out}/$name-${budget:-$default}
if [[ ! -e $study/study.json ]]; then
  read -ra words <<<"${text//%\{$default\}/${budget:-$default}}"
  # what stands before the arguments of `train`
  declared=() train=() after=
  for word in "${words[@]}"; do
    if [[ $word == -- ]]; then after=yes; elif [[ -n $after ]]; then train+=("$word"); else declared+=("$word"); fi
  done
  # a shape that was named replaces the file's model, which comes first
  [[ " $* " != *" --model-config "* ]] || train=("${train[@]:1}")
  mkdir -p "$(dirname "$study")"
  "$autoane" search new "$study" "${declared[@]}" ${trials:+--trials "$trials"} -- "${train[@]}" "$@"
fi
"$autoane" search run "$study" --workers "${WORKERS:-1}"
"$autoane" search final "$study"
"$autoane" search report "$study"
