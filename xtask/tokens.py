#!/usr/bin/env python3
"""Makes tests/tokenizers/expected.json: the ids that other programs give to the texts of corpus.json.

Needs tokenizers, sentencepiece, gguf and numpy, and the data folder beside the repository. Run from anywhere:

    python xtask/tokens.py           # makes the file
    python xtask/tokens.py --check   # makes it again and compares with the committed one

The judge of a byte-level tokenizer is Hugging Face's `tokenizers` (with its own engine for regular expressions), that of
Llama 2 Google's `sentencepiece`. llama.cpp, where its libraries can be had, is asked too; the texts on which it differs from
the judge are listed by number, with the reason that is known for each tokenizer in tests/tokenizers/README.md.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import sentencepiece
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "tests" / "tokenizers"
SHARED = pathlib.Path(os.environ.get("AUTOANE_SHARED", ROOT.parent / "shared")) / "data"

# Expressions as the released tokenizer.json of Llama 3, Qwen 2 and Mistral NeMo have them, and llama.cpp's default
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
FIRST = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = rf"{FIRST}{UPPER}*{LOWER}+|{FIRST}{UPPER}+{LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [CASES + r"|\p{N}{1,3}" + TAIL],
    "qwen2": [CASES + r"|\p{N}" + TAIL],
    "tekken": [TEKKEN],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
}
WHOLE_WORDS = ("llama-bpe", "tekken")


def smollm2():
    return json.loads((SHARED / "smollm2" / "tokenizer.json").read_text())


def byte_level(pre):
    """SmolLM2's vocabulary, its text cut as `pre` names it."""
    tree = smollm2()
    split = lambda p: {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split(p) for p in PATTERNS[pre]] + [last]}
    tree["normalizer"] = {"type": "NFC"} if pre == "qwen2" else None
    tree["model"]["ignore_merges"] = pre in WHOLE_WORDS
    return tokenizers.Tokenizer.from_str(json.dumps(tree))


def by_tokenizers(tokenizer, texts):
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def by_sentencepiece(texts):
    """sentencepiece sees no special tokens in text: they are parted from it before, as the other programs do."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(SHARED / "llama2-tokenizer" / "tokenizer.model"))
    special = {"<unk>": 0, "<s>": 1, "</s>": 2}

    def ids(text):
        parts = [part for part in re.split("(<unk>|<s>|</s>)", text) if part]
        return [i for part in parts for i in ([special[part]] if part in special else model.encode(part))]

    return [ids(text) for text in texts]


def llamacpp(*words, **options):
    return subprocess.run([ROOT / "xtask" / "llamacpp.sh", *words], text=True, capture_output=True, **options)


def tiny_gguf(path, pre, tree):
    """A model of one layer around SmolLM2's vocabulary, which llama.cpp loads."""
    vocabulary = sorted(tree["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["id"] for token in tree["added_tokens"]}
    rows, dim = len(vocabulary), 32
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(64)
    out.add_embedding_length(dim)
    out.add_block_count(1)
    out.add_feed_forward_length(dim)
    out.add_head_count(1)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(rows)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre(pre)
    out.add_token_list([text for text, _ in vocabulary])
    out.add_token_types([3 if i in special else 1 for i in range(rows)])
    merges = tree["model"]["merges"]
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    out.add_bos_token_id(0)
    out.add_eos_token_id(0)
    zeros = lambda *shape: np.zeros(shape, dtype=np.float32)
    out.add_tensor("token_embd.weight", zeros(rows, dim))
    out.add_tensor("output_norm.weight", zeros(dim))
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        out.add_tensor(f"blk.0.{name}.weight", zeros(dim, dim))
    for name in ["attn_norm", "ffn_norm"]:
        out.add_tensor(f"blk.0.{name}.weight", zeros(dim))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def by_llamacpp(path, texts):
    answer = llamacpp("tokens", str(path), "--parse-special", input=json.dumps(texts))
    if answer.returncode != 0:
        sys.exit(f"tokens: llama.cpp: {answer.stderr[-400:]}")
    return json.loads(answer.stdout)["ids"]


def make(texts):
    plain = tokenizers.Tokenizer.from_file(str(SHARED / "smollm2" / "tokenizer.json"))
    small = tokenizers.Tokenizer.from_file(str(SHARED / "stories260K" / "tokenizer.json"))
    ids = {
        "smollm2": by_tokenizers(plain, texts),
        "stories260K": by_tokenizers(small, texts),
        "llama2": by_sentencepiece(texts),
    }
    ids |= {pre: by_tokenizers(byte_level(pre), texts) for pre in PATTERNS}
    if ids["smollm"] != ids["smollm2"]:
        sys.exit("tokens: the expressions named smollm cut otherwise than SmolLM2's own tokenizer.json")
    del ids["smollm2"]
    return {"ids": ids}


def differences(texts, ids):
    """Texts on which llama.cpp gives other ids than the judge; None where its libraries cannot be had."""
    if llamacpp().returncode != 0:
        return None
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for pre in PATTERNS:
            path = pathlib.Path(folder) / f"{pre}.gguf"
            tiny_gguf(path, pre, smollm2())
            found[pre] = by_llamacpp(path, texts)
            path.unlink()
    found["llama2"] = by_llamacpp(SHARED / "fixtures" / "llama-2-tiny-random.gguf", texts)
    return {name: [i for i, (a, b) in enumerate(zip(own, ids[name])) if a != b] for name, own in found.items()}


def written(made):
    """One line for each text."""
    lists = {name: "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]" for name, rows in made["ids"].items()}
    ids = ",\n".join(f"{json.dumps(name)}: {rows}" for name, rows in lists.items())
    return f'{{"ids": {{\n{ids}\n}},\n"llama.cpp differs": {json.dumps(made["llama.cpp differs"])}}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    texts = json.loads((HERE / "corpus.json").read_text())
    made = make(texts)
    made["llama.cpp differs"] = differences(texts, made["ids"])
    path = HERE / "expected.json"
    if not check:
        if made["llama.cpp differs"] is None:
            sys.exit("tokens: llama.cpp's libraries cannot be had (xtask/llamacpp.sh says why)")
        path.write_text(written(made))
        print(f"tokens: {len(texts)} texts, {len(made['ids'])} tokenizers; llama.cpp differs on", made["llama.cpp differs"])
        return
    committed = json.loads(path.read_text())
    if made["llama.cpp differs"] is None:
        print("SKIPPED: llama.cpp's ids: its libraries cannot be had")
        made["llama.cpp differs"] = committed["llama.cpp differs"]
    for name in committed["ids"]:
        for i, (a, b) in enumerate(zip(committed["ids"][name], made["ids"][name], strict=True)):
            if a != b:
                sys.exit(f"tokens: {name}, text {i}: committed {a}, made again {b}")
    if committed["llama.cpp differs"] != made["llama.cpp differs"]:
        sys.exit(f"tokens: llama.cpp differs on {made['llama.cpp differs']}, not on {committed['llama.cpp differs']}")
    print(f"tokens: {len(texts)} texts, {len(made['ids'])} tokenizers: as committed")


if __name__ == "__main__":
    main()
