#!/usr/bin/env python3
"""Does fine-tuning from losses alone have a ceiling? The same LoRA adapter of a small released model (stories260K, rank 2, attention) on
text of another kind, trained for more and more steps, each time with the rate annealed over all of them: if there is a ceiling, more
steps stop helping above what backpropagation reaches.

Usage: runs/zo_ceiling.py MODEL TEXT [--steps 2000,8000,32000] [--seeds 4] [--jobs 1] [--out DIR]     AUTOANE: the program
What may not be published (`published.py`) is not shown.
"""

import argparse
import json
import subprocess

import published
from pool import AUTOANE, Pool, evals, interval, version

# Backpropagation with MeZO's own optimizer beside it: what is left then is the estimate
GRID = {
    "mezo": ("mezo", "sgd", ["3e-5", "1e-4", "3e-4", "1e-3"]),
    "backprop, sgd": ("backprop", "sgd", ["3e-2", "1e-1", "3e-1", "1"]),
    "backprop, adamw": ("backprop", "adamw", ["1e-3", "3e-3", "1e-2", "3e-2"]),
}
TUNE = 1000  # the seed on which each rate is chosen, over the middle number of steps


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--steps", default="1500,6000,24000")
    parser.add_argument("--backprop-steps", default="1500,6000")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cut-off", type=int, help="the runs of most steps are there and were cut off: as far as this step, and said so")
    parser.add_argument("--deadline", type=float, default=1e9, help="seconds after which no run is begun")
    parser.add_argument("--out", default="runs/zo-ceiling")
    args = parser.parse_args()
    if not 3 <= args.seeds <= 10:
        parser.error("--seeds: 3 to 10; fewer say nothing about a difference")
    return args


def main():
    args = arguments()
    pool = Pool(args.out, args.jobs, args.deadline)
    data = pool.out / "data"
    if not data.exists():
        command = [AUTOANE, "data", "tokenize", args.text, "--tokenizer", args.model, "--out", str(data), "-q"]
        subprocess.run(command, check=True)
    long, short = ([int(n) for n in text.split(",")] for text in (args.steps, args.backprop_steps))
    counts = {kind: long if kind == "mezo" else short for kind in GRID}
    middle = long[len(long) // 2]

    def words(kind, rate, seed, count):
        method, optimizer, _ = GRID[kind]
        words = [args.model, "--data", data, "--lora", "--lora-rank", 2, "--lora-targets", "attention", "--seq-len", 128, "--batch-size", 4]
        words += ["--val-tokens", 32768, "--threads", 1, "--method", method, "--learning-rate", rate, "--seed", seed, "--steps", count]
        return words + ["--eval-every", count // 8, "--optimizer", optimizer, "--schedule", "cosine"]

    def name(*parts):
        return "-".join(map(str, parts)).replace(", ", "-")

    tuning = {(kind, rate): name("tune", kind, rate) for kind, (*_, rates) in GRID.items() for rate in rates}
    made = pool.train({run: words(*key, TUNE, middle) for key, run in tuning.items()})
    ends = {key: evals(made[run])[-1]["val_loss"] for key, run in tuning.items() if made[run]}
    best = {m: min((ends[key], key[1]) for key in ends if key[0] == m)[1] for m in GRID}
    print("rates", best, ends, flush=True)
    keys = [(m, n, s) for m in GRID for n in reversed(counts[m]) for s in range(1, args.seeds + 1)]
    cut = {(m, n): f"{args.cut_off} of {n} steps" for m, n, _ in keys if args.cut_off and n == max(long)}
    made = pool.train({name(m, n, s): words(m, best[m], s, n) for m, n, s in keys if (m, n) not in cut})
    groups = {(m, n): (GRID[m][0], lambda s, m=m, n=n: str(pool.out / name(m, n, s))) for m, n, _ in keys}
    configs = published.check_lengths(groups, args.seeds, cut)
    rows = []
    for (kind, count), (_, folder) in groups.items():
        events = [made.get(name(kind, count, s)) or published.happened(folder(s))[0] for s in range(1, args.seeds + 1)]
        row = {"method": kind, "learning_rate": best[kind], "steps": args.cut_off if (kind, count) in cut else count}
        row |= published.facts(configs[kind, count], GRID[kind][2])
        row |= {"unfinished": cut[kind, count]} if (kind, count) in cut else {}
        rows.append(row | {"curve": curve(events, row["steps"])})
    record = {"version": version(), "arguments": vars(args), "rates": best, "tuned": {" ".join(k): v for k, v in ends.items()}, "rows": rows}
    (pool.out / "record.json").write_text(json.dumps(record, indent=1))
    show(rows)


def curve(events, last):
    """[step, the losses of all runs there] as far as step `last`."""
    runs = [{e["step"]: e["val_loss"] for e in evals(of_run)} for of_run in events]
    return [[step, [run[step] for run in runs]] for step in runs[0] if step <= last and all(step in run for run in runs)]


def show(rows):
    print("| method | schedule | rate | steps | validation loss | lower than at the start by |\n|---|---|---|---|---|---|")
    for row in rows:
        (_, start), (_, end) = row["curve"][0], row["curve"][-1]
        last, low = interval(end), interval([a - b for a, b in zip(start, end)])
        rate = row["learning_rate"] + (" (at the edge of the grid)" if row["rate_at_edge"] else "")
        steps = row.get("unfinished", row["steps"])
        print(f"| {row['method']} | {row['schedule']} | {rate} | {steps} | {last[0]:.4f} ± {last[1]:.4f} | {low[0]:.4f} ± {low[1]:.4f} |")


main()
