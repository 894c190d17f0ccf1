#!/usr/bin/env python3
"""Fine-tuning a released model with a LoRA adapter for the same seconds: by backpropagation, and from losses alone.

Seconds are turned into steps once, by the median of each method's steps while as many other runs go on as later, so that what else the
machine does changes nothing. The learning rate of each method is the best of the same grid on seeds of its own:
all rates on one over a third of the time, the best two on another, and these two once over the whole time, which decides; a rate that
fails is out. Shown are backpropagation, MeZO and the best three others, by what they reached in a third of the time.

Usage: runs/zo_table.py MODEL TEXT [--seconds 40] [--seeds 5] [--jobs 1] [--threads 2] [--out DIR]     AUTOANE: the program
"""

import argparse
import json
import statistics
import subprocess

import published
from pool import AUTOANE, Pool, evals, interval, steps, version

# forward passes of a step, with a backward pass counted as one: no gradient of a frozen matrix is formed
PASSES = {
    "backprop": 2, "mezo": 2, "fzoo": 5, "sparse-mezo": 2, "hizoo": 3, "lozo": 2, "conmezo": 2, "p-gap": 2.2, "agzo": 3, "zo-muon": 5,
    "dszo": 2, "ff": 2,
}
GRID = ["1e-5", "1e-4", "1e-3", "3e-3", "1e-2"]
TUNE = [1001, 1002]
CURVE = 2  # evaluations of a final run after its first


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=1e9, help="seconds after which no run is begun")
    parser.add_argument("--methods", default=",".join(PASSES))
    parser.add_argument("--out", default="runs/zo-table")
    args = parser.parse_args()
    if not 3 <= args.seeds <= 10:
        parser.error("--seeds: 3 to 10; fewer say nothing about a difference")
    return args


class Table:
    def __init__(self, args):
        self.args, self.methods = args, args.methods.split(",")
        self.pool = Pool(args.out, args.jobs, args.deadline)
        self.data = self.pool.out / "data"
        if not self.data.exists():
            command = [AUTOANE, "data", "tokenize", args.text, "--tokenizer", args.model, "--out", str(self.data), "-q"]
            subprocess.run(command, check=True)

    def words(self, method, rate, seed, count, every="never"):
        words = [self.args.model, "--data", self.data, "--lora", "--method", method, "--learning-rate", rate, "--seed", seed]
        words += ["--steps", count, "--seq-len", 128, "--batch-size", 4, "--threads", self.args.threads, "--val-tokens", 4096]
        words += ["--eval-every", every, "--optimizer", "adamw" if method in ("backprop", "ff") else "sgd"]
        return words + (["--zo-directions", 4] if method == "fzoo" else [])

    def speeds(self):
        """Steps of each method in a second."""
        runs = {f"speed-{m}": self.words(m, "1e-6", 1, 8) for m in self.methods}
        found = {}
        for name, events in self.pool.train(runs).items():
            at = [e["seconds"] for e in steps(events or [])]
            if len(at) > 2:
                found[name.removeprefix("speed-")] = 1 / statistics.median(b - a for a, b in zip(at, at[1:]))
        return found

    def tune(self, speeds):
        """The lowest mean loss of each method, and its best two rates."""
        count = {m: max(2, round(v * self.args.seconds / 3)) for m, v in speeds.items()}
        loss = {}

        def measure(keys):
            runs = {f"tune-{m}-{rate}-{seed}": self.words(m, rate, seed, count[m]) for m, rate, seed in keys}
            for key, events in zip(keys, self.pool.train(runs).values()):
                loss[key] = evals(events)[-1]["val_loss"] if events else float("inf")

        def mean(method, rate, seeds):
            return statistics.mean(loss[method, rate, seed] for seed in seeds)

        measure([(m, rate, TUNE[0]) for rate in reversed(GRID) for m in speeds])
        two = {m: sorted(GRID, key=lambda rate: mean(m, rate, TUNE[:1]))[:2] for m in speeds}
        measure([(m, rate, seed) for m in speeds for rate in two[m] for seed in TUNE[1:]])
        best = {}
        for method, rates in two.items():
            found = min(mean(method, rate, TUNE) for rate in rates)
            print("tuned", method, found, rates, count[method], flush=True)
            if found < float("inf"):
                best[method] = (found, rates)
        return best

    def shown(self, tuned):
        """The methods shown, with their rates: the better of two over the whole time."""
        others = sorted((m for m in tuned if m not in ("backprop", "mezo")), key=lambda m: tuned[m][0])[:3]
        return {m: tuned[m] for m in ["backprop", "mezo", *others]}

    def settle(self, tuned, count):
        names = {(m, rate): f"whole-{m}-{rate}" for m, found in tuned.items() for rate in found[1]}
        made = self.pool.train({name: self.words(*key, TUNE[0], count[key[0]]) for key, name in names.items()})
        ends = {key: evals(made[name])[-1]["val_loss"] for key, name in names.items() if made[name]}
        left = {m: [(ends[m, rate], rate) for rate in found[1] if (m, rate) in ends] for m, found in tuned.items()}
        best = {m: min(found)[1] for m, found in left.items() if found}
        print("settled", best, ends, flush=True)
        return best

    def final(self, best, count):
        keys = [(m, seed) for seed in range(1, self.args.seeds + 1) for m in best]
        runs = {f"final-{m}-{s}": self.words(m, best[m], s, count[m], max(1, count[m] // CURVE)) for m, s in keys}
        made = self.pool.train(runs)
        rows = []
        for method, seed in keys:
            events = made[f"final-{method}-{seed}"]
            curve = [[e["step"], e["val_loss"]] for e in evals(events or [])]
            seconds = steps(events)[-1]["seconds"] if events else None
            row = {"method": method, "seed": seed, "learning_rate": best[method], "steps": count[method]}
            rows.append(row | {"passes": PASSES[method], "curve": curve, "seconds": seconds})
        return rows


def show(rows):
    methods = list(dict.fromkeys(row["method"] for row in rows))
    print("| method | trained with | learning rate | steps | forward passes | validation loss | lower than at the start by | above backpropagation by |")
    print("|---|---|---|---|---|---|---|---|")
    end = {(r["method"], r["seed"]): r["curve"][-1][1] for r in rows if r["curve"]}
    for method in methods:
        mine = [r for r in rows if r["method"] == method and r["curve"]]
        if len(mine) < 3:
            print(f"| {method} | only {len(mine)} runs came to an end |")
            continue
        last, low = interval([r["curve"][-1][1] for r in mine]), interval([r["curve"][0][1] - r["curve"][-1][1] for r in mine])
        gap = interval([end[method, r["seed"]] - end["backprop", r["seed"]] for r in mine if ("backprop", r["seed"]) in end])
        above = "" if method == "backprop" else f"{gap[0]:.4f} ± {gap[1]:.4f}"
        first = mine[0]
        passes = round(first["steps"] * first["passes"])
        rate = first["learning_rate"] + (" (at the edge of the grid)" if first["rate_at_edge"] else "")
        print(f"| {method} | {first['optimizer']}, {first['schedule']} | {rate} | {first['steps']} | {passes} | {last[0]:.4f} ± {last[1]:.4f} | "
              f"{low[0]:.4f} ± {low[1]:.4f} | {above} |")


def main():
    args = arguments()
    table = Table(args)
    speeds = table.speeds()
    tuned = table.shown(table.tune(speeds))
    count = {m: max(CURVE, round(speeds[m] * args.seconds)) for m in tuned}
    best = table.settle(tuned, count)
    rows = table.final(best, count)
    record = {"version": version(), "arguments": vars(args), "speeds": speeds, "tuned": tuned, "rows": rows}
    path = table.pool.out / "record.json"
    path.write_text(json.dumps(record, indent=1))
    found = published.check(str(table.pool.out), args.seeds, args.seconds, list(dict.fromkeys(row["method"] for row in rows)))
    record["rows"] = [row | published.facts(found[row["method"]], GRID) for row in rows]
    path.write_text(json.dumps(record, indent=1))
    show(record["rows"])


main()
