#!/bin/bash
# Every pipeline on the simulated Neural Engine beside the CPU: the same steps of one model, with what each dispatched,
# compiled, staged and read. Usage: runs/ane-agreement.sh [MODEL] [STEPS]     AUTOANE: the program   OUT: folder of the runs
set -euo pipefail
model=${1:-stories-36m} steps=${2:-3}
autoane=${AUTOANE:-autoane}
out=${OUT:-runs/ane-agreement}
mkdir -p "$out"
run() { # name, flags...
  local name=$1
  shift
  "$autoane" train "$model" --steps "$steps" --sample-every never --save-every never --eval-every never --out "$out/$name" \
    --overwrite --json -q "$@" >"$out/$name.json"
  rm -r "$out/$name/checkpoints" # half a gigabyte each
}
run cpu
for pipeline in matmul-only static static-extras dynamic dynamic-cpu-bwd; do
  for kernels in fused original; do
    run "$pipeline-$kernels" --device ane-sim --ane-chip m4,budget=100000,loaded=100000 --pipeline "$pipeline" --ane-kernels "$kernels"
  done
done
for pipeline in matmul-only dynamic; do
  run "$pipeline-parameters" --device ane-sim --pipeline "$pipeline" --ane-weights parameters
done
run static-two-layers --device ane-sim --ane-chip m4,budget=100000,loaded=100000 --pipeline static --ane-layers 2
python3 - "$out" "$steps" <<'P'
import json, pathlib, sys
out, steps = pathlib.Path(sys.argv[1]), int(sys.argv[2])
cpu = json.load(open(out / "cpu.json"))
print("| run | loss off by | dispatches a step | compiles | staged MB a step | read MB a step | surfaces MB |")
print("|---|---|---|---|---|---|---|")
for file in sorted(out.glob("*.json")):
    run = json.load(open(file))
    report = json.load(open(out / file.stem / "efficiency.json"))["device"]
    if report is None:
        continue
    off = run["val_loss"] - cpu["val_loss"]
    mb = lambda key, by: f"{report[key] / by / 1e6:.1f}"
    print(f"| {file.stem} | {off:+.1e} | {report['dispatches'] / steps:.0f} | {report['compiles']} | "
          f"{mb('staged_bytes', steps)} | {mb('read_bytes', steps)} | {mb('surface_bytes', 1)} |")
print(f"\nCPU: validation loss {cpu['val_loss']:.4f} after {steps} steps")
P
