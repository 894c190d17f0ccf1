#!/bin/bash
# What recording costs: events.jsonl, TensorBoard files, the terminal and a dashboard that follows in another process. One run
# takes turns of a second, A B B A: in A all of it, in B nothing is written down and the dashboard is stopped. One process, so that
# its memory lies the same way in both. A turn counts by the mean of all of its steps, those too in which TensorBoard files are
# written; beside it, less noisy and less telling, without its slowest tenth. +- is half of the 95% interval over pairs of turns.
# Usage: runs/overhead.sh [SECONDS] [TRAIN ARGUMENTS...]      AUTOANE: the program
set -euo pipefail
seconds=${1:-80}
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "${AUTOANE:-autoane}" "$work" "$seconds" "${@:-stories-1m}" <<'P'
import fcntl, json, math, os, pty, signal, statistics as st, struct, subprocess, sys, termios, threading, time

program, work, seconds, train = sys.argv[1], sys.argv[2], float(sys.argv[3]), " ".join(sys.argv[4:]).split()
TURN = float(os.environ.get("TURN", "1"))
switch, run = f"{work}/off", f"{work}/run"
env = dict(os.environ, AUTOANE_CACHE=f"{work}/cache", TERM="xterm-256color", AUTOANE_UNRECORDED=switch)
words = ["--steps", "1000000", "--eval-every", "never", "--save-every", "never", "--sample-every", "never", "--val-tokens", "512"]
training = subprocess.Popen([program, "train", *train, *words, "--out", run], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not os.path.exists(f"{run}/events.jsonl") or '"type":"step"' not in open(f"{run}/events.jsonl").read():
    assert training.poll() is None, "the run ended by itself"
    time.sleep(0.05)

here, there = pty.openpty()
fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 150, 0, 0))
dash = subprocess.Popen([program, "dash", run], env=env, stdin=there, stdout=there, stderr=there, start_new_session=True)
os.close(there)
shown = [0]


def drain():
    try:
        while data := os.read(here, 65536):
            shown[0] += len(data)
    except OSError:
        pass


def cpu(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(side):
    if side == "A":
        if os.path.exists(switch):
            os.remove(switch)
        dash.send_signal(signal.SIGCONT)
    else:
        open(switch, "w").close()
        dash.send_signal(signal.SIGSTOP)
    time.sleep(TURN)


threading.Thread(target=drain, daemon=True).start()
time.sleep(3)
before, began, watched = cpu(dash), time.time(), 0.0
while time.time() - began < seconds:
    for side in "ABBA":
        turn(side)
        watched += TURN if side == "A" else 0
used = cpu(dash) - before
dash.send_signal(signal.SIGKILL)
training.send_signal(signal.SIGTERM)
training.wait()

record = json.load(open(f"{run}/efficiency.json"))
times, flags = record["step_seconds"], record["step_recorded"]
# what is written down after a step is part of the next one; where the turn changes within, neither counts
turns = []
for took, before, after in zip(times[1:], flags, flags[1:]):
    if before != after:
        turns.append((after, []))
    elif turns:
        turns[-1][1].append(took)
# two turns of a side follow each other and show as one: halves of it, so that either side comes first in every other pair
halves = [(on, half) for on, part in turns[:-1] for half in (part[: len(part) // 2], part[len(part) // 2 :])][1:]
pairs = [(x, y) if on else (y, x) for (on, x), (_, y) in zip(halves[::2], halves[1::2]) if min(len(x), len(y)) >= 4]
assert len(pairs) >= 5, f"only {len(pairs)} pairs of turns with four steps each: a smaller model, or TURN=2"
print(f"{' '.join(train)}: steps of {1e3 * st.median(st.fmean(b) for _, b in pairs):.2f} ms, {len(times)} of them, {len(pairs)} pairs of turns")


def quantile(free):
    """Student's t at 95%, from the normal's: within 0.3% from 4 degrees of freedom on."""
    z = 1.959964
    of = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return sum(x / free**i for i, x in enumerate(of))


def against(mean):
    ratios = [mean(a) / mean(b) - 1 for a, b in pairs]
    half = quantile(len(ratios) - 1) * st.stdev(ratios) / math.sqrt(len(ratios))
    return [round(100 * value, 2) for value in (st.fmean(ratios), half, st.median(ratios))]


found = {"all": against(st.fmean), "trimmed": against(lambda part: st.fmean(sorted(part)[: max(1, len(part) * 9 // 10)]))}
print("all recording and a dashboard against none: {:+.2f}% +- {:.2f}% of a step; median {:+.2f}%".format(*found["all"]))
print("the same without the slowest tenth of each turn: {:+.2f}% +- {:.2f}%; median {:+.2f}%".format(*found["trimmed"]))
print(f"recording on the run's own clock: {1e6 * record['recording_seconds'] / max(1, sum(flags)):.0f} us a step")
print(f"dashboard: {100 * used / watched:.2f}% of one processor while it follows; it drew {shown[0]} bytes")
found |= {"train": " ".join(train), "step_ms": round(1e3 * st.median(st.fmean(b) for _, b in pairs), 1), "pairs": len(pairs)}
found |= {"own_clock_us": round(1e6 * record["recording_seconds"] / max(1, sum(flags))), "dashboard_percent": round(100 * used / watched, 2)}
print(json.dumps(found))
P
