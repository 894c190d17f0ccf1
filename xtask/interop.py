#!/usr/bin/env python3
"""What other programs make of our files. Needs torch, transformers, tokenizers, safetensors, numpy, tensorboard.

    interop.py run BINARY [FOLDER]                  # every check below on runs of the binary; FOLDER keeps them
    interop.py compare CHECKPOINT LOGITS.npy 1,2,3  # logits of the binary against transformers, and the tokenizer
    interop.py tensorboard RUN                      # TensorBoard's own reader against events.jsonl
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import warnings

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
TOLERANCE = 1e-4
SEQ, ROWS = 64, 2
SENTENCE = 'Once upon a time, a little fox said: "Let\'s go!" They ran 3 miles.\nThe end.'


class Failure(Exception):
    """A check that did not hold; the message says which and by how much."""


def near(what, ours, theirs, tolerance=TOLERANCE):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise Failure(f"{what}: shape {ours.shape}, expected {theirs.shape}")
    worst = float(np.abs(ours - theirs).max())
    if not worst <= tolerance:  # also when it is not a number
        raise Failure(f"{what}: differs by {worst:.2e} (allowed {tolerance:.0e})")
    print(f"  {what}: differs by {worst:.1e}")


def load(checkpoint):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise Failure(f"{checkpoint}: transformers reports {kind}: {sorted(map(str, report[kind]))[:5]}")
    return model.eval()


def their_logits(checkpoint, ids):
    with torch.no_grad():
        return load(checkpoint)(input_ids=torch.tensor([ids])).logits[0].numpy()


def check_tokenizer(checkpoint):
    """The folder's tokenizer in transformers: the ids of tokenizer.json, and text that comes back."""
    from tokenizers import Tokenizer
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer.encode(SENTENCE, add_special_tokens=False)
    plain = Tokenizer.from_file(str(pathlib.Path(checkpoint) / "tokenizer.json")).encode(SENTENCE, add_special_tokens=False).ids
    if ids != plain:
        raise Failure(f"AutoTokenizer gives {ids}, tokenizer.json {plain}")
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if text != SENTENCE:
        raise Failure(f"the tokenizer turns {SENTENCE!r} into {text!r}")
    print(f"  tokenizer: {len(ids)} ids, text comes back; end of text is {tokenizer.eos_token!r}")
    return ids


def compare(checkpoint, logits, ids):
    near(f"logits of {len(ids)} tokens", np.load(logits), their_logits(checkpoint, ids))
    if (pathlib.Path(checkpoint) / "tokenizer.json").exists():
        check_tokenizer(checkpoint)


def events(run, kind):
    lines = (pathlib.Path(run) / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["type"] == kind]


def check_tensorboard(run):
    """The scalars of the run's event files against events.jsonl, by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    reader = EventAccumulator(str(pathlib.Path(run) / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    for tag, kind, key in [("train/loss", "step", "loss"), ("train/lr", "step", "lr"), ("val/loss", "eval", "val_loss")]:
        if tag not in reader.Tags()["scalars"]:
            raise Failure(f"TensorBoard finds no {tag}, only {reader.Tags()['scalars']}")
        told = {e["step"]: e[key] for e in events(run, kind)}
        points = reader.Scalars(tag)
        if points[-1].step != max(told):
            raise Failure(f"{tag}: TensorBoard's last point is step {points[-1].step}, that of events.jsonl {max(told)}")
        near(f"{tag}, {len(points)} points", [p.value for p in points], [np.float32(told[p.step]) for p in points], 1e-6)
    check_plugins(reader, run)


def check_plugins(reader, run):
    """The configuration in the hparams plugin against config.resolved.toml, and the samples in the text plugin."""
    from tensorboard.plugins.hparams import metadata
    content = reader.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(content["_hparams_/session_start_info"])
    found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    told = tomllib.loads((pathlib.Path(run) / "config.resolved.toml").read_text())
    told = {name: value for name, value in told.items() if name in found or value not in ("none", {})}
    told.pop("origin", None)
    if found != told:
        raise Failure(f"hparams: TensorBoard finds {found}, the run has {told}")
    end = metadata.parse_session_end_info_plugin_data(content["_hparams_/session_end_info"])
    if end.status != 1:
        raise Failure(f"hparams: status {end.status} of a finished run")
    samples = {e["step"]: e["prompt"] + e["text"] for e in events(run, "sample")}
    texts = {e.step: e.tensor_proto.string_val[0].decode() for e in reader.Tensors("sample")} if samples else {}
    if texts != samples or (samples and "sample" not in reader.PluginTagToContent("text")):
        raise Failure(f"text: TensorBoard finds {texts}, events.jsonl has {samples}")
    print(f"  hparams: {len(found)} settings; text: {len(texts)} samples")


def window_loss(checkpoint, ids, first, count):
    """Mean cross-entropy of transformers over `count` windows of `ids`, the first of which starts at `first`."""
    starts = range(first, first + count * SEQ, SEQ)
    inputs = torch.tensor(np.stack([ids[s:s + SEQ] for s in starts]).astype(np.int64))
    targets = torch.tensor(np.stack([ids[s + 1:s + SEQ + 1] for s in starts]).astype(np.int64))
    with torch.no_grad():
        logits = load(checkpoint)(input_ids=inputs).logits
    return F.cross_entropy(logits.double().flatten(0, 1), targets.flatten()).item()


class Binary:
    """The program under test."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def call(self, *words):
        done = subprocess.run([self.path, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        if done.returncode != 0:
            tail = "\n".join(done.stderr.splitlines()[-15:])
            raise Failure(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{tail}")
        return done.stdout

    def train(self, name, *words):
        run = self.folder / name
        shape = ["--seq-len", SEQ, "--batch-size", ROWS, "--seed", 1]
        printed = self.call("train", *words, *shape, "--out", run, "--json")
        return run, json.loads(printed)

    def logits(self, model, ids):
        out = self.folder / "logits.npy"
        out.unlink(missing_ok=True)
        self.call("logits", model, "--tokens", ",".join(map(str, ids)), "--out", out)
        return out


def check_golden(binary):
    """Models that transformers wrote, of every family."""
    for model in sorted(p.parent for p in GOLDEN.glob("*/expected.safetensors")):
        expected = load_file(model / "expected.safetensors")
        ours = np.load(binary.logits(model, expected["tokens"][0].tolist()))
        near(f"logits of {model.name}", ours, expected["logits"][0].numpy())


def check_shards(binary):
    """The same weights in bf16 and in several files, as transformers splits them."""
    folder = binary.folder / "sharded"
    model = load(GOLDEN / "qwen3").to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="30KB")
    shards = len(list(folder.glob("*.safetensors")))
    if shards < 2:
        raise Failure(f"transformers wrote {shards} shard: nothing to check")
    ids = list(range(5, 40))
    near(f"logits of {shards} bf16 shards", np.load(binary.logits(folder, ids)), their_logits(folder, ids))


def check_trained(binary):
    """A model trained on the built-in corpus, with its tokenizer; returns the checkpoint."""
    run, report = binary.train("stories", "--model", "stories-1m", "--data", "stories", "--steps", 30, "--eval-every", 10)
    checkpoint = run / "checkpoints" / "last"
    ids = check_tokenizer(checkpoint)
    near("logits of the trained model", np.load(binary.logits(checkpoint, ids)), their_logits(checkpoint, ids))
    best = run / "checkpoints" / "best"
    load(best)
    if events(run, "eval")[-1]["val_loss"] != report["val_loss"]:
        raise Failure(f"val_loss {report['val_loss']} is not that of the last evaluation")
    check_tensorboard(run)
    return checkpoint


def check_losses(binary, checkpoint):
    """Training and validation loss on a file of ids, where every window is known."""
    vocab = json.loads((checkpoint / "config.json").read_text())["vocab_size"]
    windows = 16
    half = windows * SEQ + 1  # the validation half holds these windows and not one token more
    ids = np.random.default_rng(3).integers(0, vocab, 2 * half).astype("<u2")
    path = binary.folder / "ids.bin"
    ids.tofile(path)
    run, report = binary.train("ids", checkpoint, "--data", path, "--no-compact-vocab", "--data-order", "sequential",
                               "--val-fraction", 0.5, "--steps", 3)
    near("training loss of step 1", events(run, "step")[0]["loss"], window_loss(checkpoint, ids, 0, ROWS))
    near("validation loss", report["val_loss"], window_loss(run / "checkpoints" / "last", ids, half, windows))


def run_all(path, folder):
    binary = Binary(path, folder)
    check_golden(binary)
    check_shards(binary)
    checkpoint = check_trained(binary)
    check_losses(binary, checkpoint)


def main(words):
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    match words:
        case ["run", path]:
            with tempfile.TemporaryDirectory(prefix="autoane-interop-") as folder:
                run_all(path, pathlib.Path(folder))
        case ["run", path, folder]:
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            run_all(path, pathlib.Path(folder))
        case ["compare", checkpoint, logits, ids]:
            compare(checkpoint, logits, [int(i) for i in ids.split(",")])
        case ["tensorboard", run]:
            check_tensorboard(run)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print(f"interop: passed (transformers {transformers.__version__}, torch {torch.__version__})")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"interop: FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
