#!/usr/bin/env python3
"""Whether the runs of a comparison may be published, and what they were trained with.

published.py OUT SEEDS SECONDS METHOD...    asks it of OUT/final-METHOD-SEED, and prints what each method was trained with
published.py --facts RECORD OUT...          writes what the folders say into the rows of a record under runs/results

A run is a folder with the program's commit, the resolved configuration and the events; the configuration says the method and the
seed that is claimed for it, and that it finished, or the record says "unfinished": steps "of" steps planned. Of each method there
are at least 3 seeds, the same for all; they differ in nothing but the seed, and the methods in nothing but how they learn. All are
of one version of the program, and of equal work: every run of a method takes the same steps and tokens, and every method the same
tokens, or the same seconds by the median of its own steps (OUT/speed-METHOD). A run that FOLDER.json calls failed counts as one
that failed, and must have its folder too. Where something is not so, it says what and ends with 1.
"""
import glob, json, os, re, statistics, sys

LEAST = 3
# what runs of one method may differ in, and what makes methods different
OF_A_RUN = {"seed", "out"}
OF_A_METHOD = {
    "method", "optimizer", "schedule", "warmup", "min-lr-ratio", "learning-rate", "weight-decay", "beta1", "beta2", "momentum",
    "clip-norm", "mezo-eps", "zo-directions", "zo-distribution", "zo-sparsity", "zo-hessian", "zo-rank", "zo-interval", "zo-delta",
    "zo-angle", "zo-momentum", "ff-corrupt", "steps", "tokens", "max-time", "eval-every",
}
# what a published row says of it
SHOWN = ("optimizer", "schedule")


def fail(why):
    sys.exit(f"not to be published: {why}")


def read(folder, name):
    path = os.path.join(folder, name)
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        fail(f"{folder} has no {name}: a result is the folder of a run")
    with open(path) as file:
        return file.read()


def settings(folder):
    """Every setting of a run, as text, without where it came from."""
    found = {}
    for line in read(folder, "config.resolved.toml").split("\n[origin]")[0].splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and not name.startswith("#"):
            found[name] = value[1:].split('"')[0] if value.startswith('"') else value.split("#")[0].strip()
    return found


def happened(folder):
    events = [json.loads(line) for line in read(folder, "events.jsonl").splitlines()]
    return events, [e for e in events if e["type"] == "step"]


def run(folder, method, seed, unfinished):
    """Commit, settings, steps and tokens of a run; no steps and tokens of one that failed."""
    commit = json.loads(read(folder, "environment.json")).get("commit")
    if not commit or commit == "unknown":
        fail(f"{folder} does not say the commit of the program")
    config = settings(folder)
    for key, want in (("method", method), ("seed", str(seed))):
        if config.get(key) != want:
            fail(f"{folder} is a run with {key} {config.get(key)}, not {want}")
    events, steps = happened(folder)
    if os.path.isfile(f"{folder}.json") and json.loads(read(".", f"{folder}.json")).get("status") != "done":
        return commit, config, None
    done = any(e["type"] == "finished" for e in events)
    if not steps or not done and not unfinished:
        fail(f"{folder} did not finish, and its record does not say so")
    if unfinished:
        count, _, planned = unfinished.replace(" steps", "").partition(" of ")
        if done or config.get("steps") != planned or steps[-1]["step"] < int(count):
            fail(f"{folder} is not unfinished after {unfinished}")
        steps = [e for e in steps if e["step"] <= int(count)]
    # a method from losses says its slopes, and backpropagation has none
    slopes = all("projected_gradient" in e for e in steps)
    if slopes != (method not in ("backprop", "ff")):
        fail(f"{folder} is called {method}, and its steps are those of another method")
    return commit, config, (len(steps), steps[-1]["tokens"])


def step_time(folder):
    at = [e["seconds"] for e in happened(folder)[1]]
    return statistics.median(b - a for a, b in zip(at, at[1:]))


def same(who, configs, but):
    """That they differ in nothing except `but`."""
    for key in sorted(set().union(*configs) - but):
        values = {config.get(key) for config in configs}
        if len(values) > 1:
            fail(f"{who} differ in {key}: {', '.join(sorted(map(str, values)))}")


def trained(groups, seeds, unfinished={}):
    """Takes {name: (method, folder of a seed)}; gives {name: (settings, the set of steps and tokens that its runs took)}."""
    if seeds < LEAST:
        fail(f"{seeds} seeds show nothing: {LEAST} or more")
    numbers = range(1, seeds + 1)
    runs = {name: [run(folder(s), method, s, unfinished.get(name)) for s in numbers] for name, (method, folder) in groups.items()}
    commits = {r[0] for found in runs.values() for r in found}
    if len(commits) > 1:
        fail(f"runs of different programs: {', '.join(sorted(commits))}")
    for name, found in runs.items():
        same(f"runs of {name}", [config for _, config, _ in found], OF_A_RUN)
    same("methods", [found[0][1] for found in runs.values()], OF_A_RUN | OF_A_METHOD)
    work = {name: {r[2] for r in found if r[2]} for name, found in runs.items()}
    for name, found in work.items():
        if len(found) > 1:
            fail(f"runs of {name} differ in steps or tokens: {sorted(found)}")
    return {name: (runs[name][0][1], work[name]) for name in runs}


def check(out, seeds, seconds, methods):
    """What each method was trained with, if all took the same tokens or the same seconds."""
    found = trained({m: (m, lambda s, m=m: f"{out}/final-{m}-{s}") for m in methods}, seeds)
    if len({tokens for _, work in found.values() for _, tokens in work}) > 1:
        for method, (_, work) in found.items():
            for steps, _ in work:
                step = step_time(f"{out}/speed-{method}")
                if abs(steps * step - seconds) > 2 * step:
                    fail(f"{method} has {steps} steps of {step:.3f} s: neither the tokens nor the {seconds:g} s of the others")
    return {method: config for method, (config, _) in found.items()}


def check_lengths(groups, seeds, unfinished={}):
    """The same of {(method's name, steps): (method, folder of a seed)}, where those of as many steps took the same tokens."""
    found = trained(groups, seeds, unfinished)
    for length in {steps for _, steps in groups}:
        tokens = {(n, t) for (_, steps), (_, work) in found.items() if steps == length for n, t in work}
        if len(tokens) > 1:
            fail(f"runs of {length} steps took different steps or tokens: {sorted(tokens)}")
    return {name: config for name, (config, _) in found.items()}


def facts(config, tried):
    """What a published row says beside its numbers: the rate is at the edge where no lower, or no higher, one was tried."""
    rates = sorted(float(rate) for rate in tried)
    shown = {key: config[key] for key in SHOWN}
    return shown | ({"rate_at_edge": float(config["learning-rate"]) in (rates[0], rates[-1])} if rates else {})


def add_facts(record_path, outs):
    """Of a record made before rows said it: as far as its folders are still there, and are of what the row says."""
    with open(record_path) as file:
        record = json.load(file)
    for row in record["rows"]:
        steps = row.get("unfinished", f"{row['steps']} of {row['steps']}").replace(" steps", "").split(" of ")[1]
        name = row["method"].replace(", ", "-")
        globs = [f"{out}/{form}-[0-9]*" for out in outs for form in (f"final-{name}", f"{name}-{steps}")]
        folders = [folder for pattern in globs for folder in glob.glob(pattern) if os.path.isdir(folder)]
        tunes = [glob.glob(f"{out}/tune-{name}-*/config.resolved.toml") for out in outs]
        tried = {settings(os.path.dirname(path))["learning-rate"] for paths in tunes for path in paths}
        configs = [settings(folder) for folder in folders]
        if len({config["seed"] for config in configs}) != len(row["end"]):
            print(f"{row['method']}, {row['steps']} steps: {len(folders)} folders of {len(row['end'])} runs: left as it is")
            continue
        same(row["method"], configs, OF_A_RUN)
        claimed = {"method": row["method"].split(",")[0], "steps": steps}
        for key, want in claimed.items():
            if configs[0][key] != want:
                fail(f"{folders[0]} is a run with {key} {configs[0][key]}, not {want}")
        if float(configs[0]["learning-rate"]) != float(row["learning_rate"]):
            fail(f"{folders[0]} has another rate than {row['learning_rate']}")
        row |= facts(configs[0], tried)
    return record


def written(record):
    """A record as text, numbers of one list on one line."""
    join = lambda found: "[" + " ".join(found[1].split()) + "]"
    return re.sub(r"\[([^\[\]{}]*)\]", join, json.dumps(record, indent=1, ensure_ascii=False)) + "\n"


if __name__ == "__main__":
    if sys.argv[1] == "--facts":
        record = add_facts(sys.argv[2], sys.argv[3:])
        with open(sys.argv[2], "w") as file:
            file.write(written(record))
    else:
        found = check(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
        print(json.dumps({method: {key: config.get(key) for key in SHOWN} for method, config in found.items()}))
