#!/bin/bash
# What recording costs: events.jsonl, TensorBoard files, the terminal and a dashboard that follows in another process. One run
# takes turns of a second, A B B A: in A all of it, in B nothing is written down and the dashboard is stopped. One process, so that
# its memory lies the same way in both.
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
turns = [(on, st.fmean(sorted(part)[: max(1, len(part) * 9 // 10)])) for on, part in turns[:-1] if len(part) >= 4]
pairs = [(x[1], y[1]) if x[0] else (y[1], x[1]) for x, y in zip(turns[::2], turns[1::2]) if x[0] != y[0]]
ratios = [a / b - 1 for a, b in pairs]
assert len(ratios) >= 5, f"only {len(ratios)} pairs of turns with four steps each: a smaller model, or TURN=2"
mean, se = st.fmean(ratios), st.stdev(ratios) / math.sqrt(len(ratios))
print(f"{' '.join(train)}: steps of {1e3 * st.median(b for _, b in pairs):.2f} ms, {len(times)} of them, {len(pairs)} pairs of turns")
print(f"all recording and a dashboard against none: {100 * mean:+.2f}% +- {100 * se:.2f}% of a step; median {100 * st.median(ratios):+.2f}%")
print(f"recording on the run's own clock: {1e6 * record['recording_seconds'] / max(1, sum(flags)):.0f} us a step")
print(f"dashboard: {100 * used / watched:.2f}% of one processor while it follows; it drew {shown[0]} bytes")
P
