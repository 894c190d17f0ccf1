#!/usr/bin/env python3
"""Every model out and back, as transformers, llama.cpp and gguf-py see it. Run by xtask/interop.sh.

    interop_formats.py run BINARY [FOLDER]          # every family through every format
    interop_formats.py real BINARY GGUF [FOLDER]    # a real model: our greedy text against llama.cpp's

A family is a tiny random model with norm gains around 1 and biases around 0, longer than its original context where its
rope is scaled. Tolerances are shares of the logits' standard deviation; llama.cpp rounds activations to the weights' type.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import gguf_check
from interop import Binary, Failure, GOLDEN, load

HERE = pathlib.Path(__file__).resolve().parent
TRANSFORMERS = 2e-4
# root mean square but in f32, where the largest counts: rounded weights make a few logits of a random model far worse
LLAMA_CPP = {"f32": 2e-4, "f16": 4e-3, "bf16": 4e-2, "q8_0": 1e-1}
VOCAB, LENGTH, GREEDY = 384, 80, 64
CORPUS = [
    "Once upon a time there was a little fox.", "two  spaces\r\nand\tCRLF\n\n\n", "caf\u00e9 \u00fc\u0308 \u00a0nbsp\u00a0", "12345 1,000.50 3rd",
    "\u4f60\u597d\uff0c\u4e16\u754c", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "it's we'll I'D", "<|endoftext|>end<|im_start|>user", " lead and trail ",
    "", "\u0000\u0001\u001f", "a" * 300, "\u202eright\u202c \ufeffbom",
]


def rope(theta=10000.0, kind="default", **scaling):
    return {"rope_type": kind, "rope_theta": theta, **scaling}


def shape(**other):
    base = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=16, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True,
                bos_token_id=None, eos_token_id=0, pad_token_id=None, rope_parameters=rope())
    return base | other


LLAMA3 = rope(500.0, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = rope(10000.0, "yarn", factor=4.0, original_max_position_embeddings=32)
FAMILIES = {
    "llama": ("llama", shape()),
    "llama-untied": ("llama", shape(tie_word_embeddings=False, num_key_value_heads=4)),
    "llama-bias": ("llama", shape(attention_bias=True)),
    "llama-headdim": ("llama", shape(head_dim=20)),
    "llama-linear": ("llama", shape(rope_parameters=rope(10000.0, "linear", factor=4.0))),
    "llama-llama3": ("llama", shape(rope_parameters=LLAMA3)),
    "llama-yarn": ("llama", shape(rope_parameters=YARN, tie_word_embeddings=False)),
    "mistral": ("mistral", shape(sliding_window=None, tie_word_embeddings=False)),
    "qwen2": ("qwen2", shape(rms_norm_eps=1e-6, use_sliding_window=False, rope_parameters=rope(1e6))),
    "qwen2-yarn": ("qwen2", shape(use_sliding_window=False, tie_word_embeddings=False, rope_parameters=YARN)),
    "qwen3": ("qwen3", shape(head_dim=32, rope_parameters=rope(1e6))),
    "qwen3-untied": ("qwen3", shape(head_dim=32, tie_word_embeddings=False)),
    "smollm3": ("smollm3", shape(num_hidden_layers=4, use_sliding_window=False)),
}
# What each format can say of which family
LLAMA2C = {"llama", "llama-untied", "mistral"}
BLZT = {"llama"}


def skipped(what, why):
    print(f"SKIPPED: {what}: {why}")


def tokenizer():
    """Byte-level BPE over this repository's own text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train([str(p) for p in sorted(HERE.parent.glob("*.md"))], trainer)
    if made.get_vocab_size() != VOCAB:
        raise Failure(f"the tokenizer has {made.get_vocab_size()} ids")
    return made


def build(name, folder, words):
    """The family's model as transformers writes it, with a tokenizer."""
    kind, fields = FAMILIES[name]
    torch.manual_seed(11)
    config = transformers.AutoConfig.for_model(kind, **fields)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            offset, width = (0.0, 0.1) if key.endswith("bias") else (1.0, 0.2) if weight.ndim == 1 else (0.0, 0.15)
            weight.copy_(offset + width * noise)
    model.save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>", "add_bos_token": False}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 0}))


def near(what, ours, theirs, tolerance, rounded=False):
    """Largest difference, or of rounded weights its root mean square, in standard deviations of `theirs`."""
    if ours.shape != theirs.shape:
        raise Failure(f"{what}: shape {ours.shape}, expected {theirs.shape}")
    apart = np.abs(ours.astype(np.float64) - theirs)
    worst = float((np.sqrt((apart**2).mean()) if rounded else apart.max()) / theirs.std())
    if not worst <= tolerance:
        raise Failure(f"{what}: differs by {worst:.2e} of the standard deviation (allowed {tolerance:.0e})")
    return worst


class LlamaCpp:
    """llama.cpp, or the reason why it is not there."""

    def __init__(self):
        found = subprocess.run([HERE / "llamacpp.sh"], capture_output=True, text=True)
        self.why = None if found.returncode == 0 else found.stderr.strip().splitlines()[-1]

    def call(self, *words, text=None):
        done = subprocess.run([HERE / "llamacpp.sh", *map(str, words)], capture_output=True, text=True, input=text)
        if done.returncode != 0:
            raise Failure(f"llama.cpp: {' '.join(map(str, words))[:300]}: {done.stderr[-1500:]}")
        return json.loads(done.stdout)

    def logits(self, model, ids, out):
        self.call("logits", model, "--tokens", comma(ids), "--out", out)
        return np.load(out)

    def greedy(self, model, prompt, n=GREEDY):
        return self.call("greedy", model, "--tokens", comma(prompt), "-n", n)


def comma(ids):
    return ",".join(map(str, ids))


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def their_greedy(model, prompt, end):
    """Ids of the most probable continuation, and how close the second choice ever came."""
    ids, closest = list(prompt), float("inf")
    with torch.no_grad():
        while len(ids) < len(prompt) + GREEDY:
            top = model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
            closest = min(closest, float(top.values[0] - top.values[1]))
            if int(top.indices[0]) == end:
                break
            ids.append(int(top.indices[0]))
    return ids[len(prompt):], closest


class Family:
    """One family's model and what transformers says of it."""

    def __init__(self, name, folder, words):
        self.name, self.hf, self.folder = name, folder / "hf", folder
        build(name, self.hf, words)
        self.words = words
        self.model = load(self.hf)
        self.ids = np.random.default_rng(5).integers(1, VOCAB, LENGTH).tolist()
        with torch.no_grad():
            self.logits = self.model(input_ids=torch.tensor([self.ids])).logits[0].numpy()

    def convert(self, binary, source, name, *words):
        out = self.folder / name
        binary.call("convert", source, out, *words)
        return out


def check_hf(binary, family):
    worst = near(f"{family.name}: our logits", np.load(binary.logits(family.hf, family.ids)), family.logits, TRANSFORMERS)
    print(f"  {family.name}: our logits differ from transformers' by {worst:.1e} of their deviation")


def check_back(binary, family):
    """HF -> X -> HF, bit for bit: transformers' own file in every tensor, ours (which orders them its way) in every byte."""
    plain = family.convert(binary, family.hf, "plain", "--to", "hf") / "model.safetensors"
    wanted, ours, theirs = sha256(plain), load_file(plain), load_file(family.hf / "model.safetensors")
    if ours.keys() != theirs.keys() or not all(torch.equal(ours[k].view(torch.int32), theirs[k].view(torch.int32)) for k in ours):
        raise Failure(f"{family.name}: HF -> HF changed a weight")
    formats = ["gguf"] + ["llama2c"] * (family.name in LLAMA2C) + ["blzt"] * (family.name in BLZT)
    for to in formats:
        there = family.convert(binary, family.hf, f"back.{'gguf' if to == 'gguf' else 'bin'}-{to}", "--to", to)
        back = family.convert(binary, there, f"back-{to}", "--to", "hf")
        if sha256(back / "model.safetensors") != wanted:
            raise Failure(f"{family.name}: HF -> {to} -> HF is not the same model.safetensors")
    print(f"  {family.name}: bit for bit through {', '.join(formats)}")


def check_gguf(binary, llama, family):
    """Each type of weights in llama.cpp: logits; in f32 the greedy text too."""
    worst = {}
    for dtype, tolerance in LLAMA_CPP.items():
        path = family.convert(binary, family.hf, f"{family.name}-{dtype}.gguf", "--dtype", dtype)
        if dtype == "f32":
            arch, keys, tensors = gguf_check.check(path, family.hf, family.words)
            near(f"{family.name}: our logits of the gguf", np.load(binary.logits(path, family.ids)), family.logits, TRANSFORMERS)
        if llama.why:
            continue
        theirs = llama.logits(path, family.ids, family.folder / "llamacpp.npy")
        worst[dtype] = near(f"{family.name} in {dtype}: llama.cpp's logits", theirs, family.logits, tolerance, dtype != "f32")
        near(f"{family.name} in {dtype}: our logits of the gguf", np.load(binary.logits(path, family.ids)), theirs, tolerance,
             dtype != "f32")
    said = ", ".join(f"{dtype} {w:.1e}" for dtype, w in worst.items())
    print(f"  {family.name}: gguf-py reads {arch} (all {keys} keys and {tensors} tensors as in the folder); llama.cpp's logits differ from transformers' by {said or 'SKIPPED'}")
    return family.folder / f"{family.name}-f32.gguf"


def check_greedy(binary, llama, family, path):
    prompt = family.words.encode("Once upon a time", add_special_tokens=False).ids
    wanted, closest = their_greedy(family.model, prompt, 0)
    rivals = {"ours": json.loads(binary.call("generate", path, "--prompt", "Once upon a time", "--temperature", 0,
                                             "--max-tokens", GREEDY, "--json"))["ids"]}
    if not llama.why:
        rivals["llama.cpp's"] = llama.greedy(path, prompt)["ids"]
    for whose, ids in rivals.items():
        ids = ids[:-1] if ids[-1:] == [0] else ids  # the end, where it is among them
        if ids != wanted:
            same = next((i for i, (a, b) in enumerate(zip(ids, wanted)) if a != b), min(len(ids), len(wanted)))
            raise Failure(f"{family.name}: {whose} greedy text leaves transformers' after {same} tokens (closest choice {closest:.1e})")
    print(f"  {family.name}: the same {len(wanted)} greedy tokens (closest choice {closest:.1e})")


def check_stop(binary, llama, family):
    """A model whose end of text comes early: made so by calling a token that it writes the end of text."""
    prompt = family.words.encode("Once upon a time", add_special_tokens=False).ids
    wanted, _ = their_greedy(family.model, prompt, 0)
    end = wanted[7]
    before = wanted[:wanted.index(end)]
    folder = family.folder / "ends"
    shutil.copytree(family.hf, folder)
    for name in ("config.json", "generation_config.json"):
        fields = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(fields | {"eos_token_id": end}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": family.words.id_to_token(end), "add_bos_token": False}))
    path = family.convert(binary, folder, "ends.gguf")
    for model in (folder, path):
        said = json.loads(binary.call("generate", model, "--prompt", "Once upon a time", "--temperature", 0,
                                      "--max-tokens", GREEDY, "--json"))
        ids = said["ids"][:-1] if said["ids"][-1:] == [end] else said["ids"]
        if ids != before or said["stopped"] != "end":
            raise Failure(f"{model}: generation said {said['ids']} ({said['stopped']}), expected {before} and the end")
    if not llama.why:
        theirs = llama.greedy(path, prompt)
        if theirs["ids"] != before or theirs["stopped"] != end:
            raise Failure(f"{path}: llama.cpp stopped at {theirs['stopped']} after {theirs['ids']}, expected {end} after {before}")
    print(f"  {family.name}: ends at token {end} after {len(before)} tokens, in ours" + ("" if llama.why else " and in llama.cpp"))


def check_tokens(llama, family, path):
    wanted = [family.words.encode(text, add_special_tokens=False).ids for text in CORPUS]
    found = llama.call("tokens", path, "--parse-special", text=json.dumps(CORPUS))["ids"]
    for text, a, b in zip(CORPUS, found, wanted):
        if a != b:
            raise Failure(f"{path}: llama.cpp makes {a} of {text!r}, tokenizers {b}")
    print(f"  {family.name}: the ids of {len(CORPUS)} texts are llama.cpp's too")


def check_goldens(binary):
    for model in sorted(p.parent for p in GOLDEN.glob("*/expected.safetensors")):
        expected = load_file(model / "expected.safetensors")
        ours = np.load(binary.logits(model, expected["tokens"][0].tolist()))
        worst = near(f"logits of {model.name}", ours, expected["logits"][0].numpy(), TRANSFORMERS)
        print(f"  golden {model.name}: {worst:.1e} of the deviation")


def run_all(binary):
    check_goldens(binary)
    llama, words = LlamaCpp(), tokenizer()
    if llama.why:
        skipped("llama.cpp", llama.why)
    stories(binary, llama)
    for name in FAMILIES:
        folder = binary.folder / name
        folder.mkdir()
        family = Family(name, folder, words)
        check_hf(binary, family)
        check_back(binary, family)
        path = check_gguf(binary, llama, family)
        check_greedy(binary, llama, family, path)
        if name in ("llama", "qwen2"):
            check_stop(binary, llama, family)
            if not llama.why:
                check_tokens(llama, family, path)


def stories(binary, llama):
    """stories260K, which llama2.c's own program continues with a text that is known: from its file, and from what we make of it."""
    data = pathlib.Path(os.environ.get("AUTOANE_SHARED", HERE.parent.parent / "shared")) / "data" / "stories260K"
    if not data.is_dir():
        return skipped("stories260K", f"{data} is not there")
    known = re.search(r'Greedy from <s>, 40 tokens: "(.*)"', (data / "EXPECT.txt").read_text()).group(1)
    model = binary.folder / "stories" / "stories260K.bin"
    model.parent.mkdir()
    shutil.copy(data / "stories260K.bin", model)
    shutil.copy(data / "tok512.bin", model.with_name("tokenizer.bin"))
    for name, words in [("stories.gguf", []), ("stories-hf", []), ("again.bin", ["--to", "llama2c"])]:
        binary.call("convert", model, model.with_name(name), *words)
    for name in ("stories260K.bin", "stories.gguf", "stories-hf", "again.bin"):
        said = json.loads(binary.call("generate", model.with_name(name), "--temperature", 0, "--max-tokens", 40, "--json"))
        if said["text"] != known or len(said["ids"]) != 40:
            raise Failure(f"{name}: greedy text is {said['text']!r}, of llama2.c {known!r}")
    if not llama.why:
        theirs = llama.greedy(model.with_name("stories.gguf"), [1], 40)["ids"]
        if theirs != said["ids"]:
            raise Failure(f"stories.gguf: llama.cpp's greedy ids are {theirs}, ours {said['ids']}")
    print("  stories260K: the 40 greedy tokens of llama2.c, from its file and ours" + ("" if llama.why else ", in llama.cpp too"))


def real(binary, path):
    """A released model. In f32 our greedy text is llama.cpp's, token for token; in the file's own type both programs round
    activations their own way, and the logits are near."""
    llama = LlamaCpp()
    if llama.why:
        return skipped("a real model in llama.cpp", llama.why)
    prompt = "Once upon a time, a little fox"
    exact = binary.folder / "f32.gguf"
    binary.call("convert", path, exact)
    for model, tolerance in [(exact, LLAMA_CPP["f32"]), (path, 1e-1)]:
        theirs = llama.call("greedy", model, "--prompt", prompt, "-n", GREEDY)
        ours = json.loads(binary.call("generate", model, "--prompt", prompt, "--temperature", 0, "--max-tokens", GREEDY, "--json"))
        same = next((i for i, (a, b) in enumerate(zip(ours["ids"], theirs["ids"])) if a != b), len(theirs["ids"]))
        ids = theirs["prompt"] + theirs["ids"]
        apart = near("logits", np.load(binary.logits(model, ids)), llama.logits(model, ids, binary.folder / "l.npy"), tolerance, True)
        print(f"  {pathlib.Path(model).name}: {same} of {len(theirs['ids'])} greedy tokens as llama.cpp's (its closest choice "
              f"{theirs['closest']:.1e}); logits differ by {apart:.1e} of their deviation")
        if model == exact and same < len(theirs["ids"]):
            raise Failure(f"greedy text leaves llama.cpp's after {same} tokens: {ours['text']!r} and {theirs['text']!r}")


def main(words):
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    match words:
        case ["run" | "real" as verb, path, *rest]:
            with tempfile.TemporaryDirectory(prefix="autoane-formats-") as temporary:
                folder = pathlib.Path(rest[-1] if len(rest) > (verb == "real") else temporary)
                folder.mkdir(parents=True, exist_ok=True)
                binary = Binary(path, folder)
                run_all(binary) if verb == "run" else real(binary, rest[0])
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print("formats: passed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"formats: FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
