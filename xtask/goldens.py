#!/usr/bin/env python3
"""Makes the golden files under tests/golden from PyTorch and transformers.

Needs torch, transformers, numpy and safetensors. Run from anywhere:

    python xtask/goldens.py            # all models
    python xtask/goldens.py qwen3      # those whose name contains the word
    python xtask/goldens.py --check    # makes them again elsewhere and compares with the committed ones

Every model is tiny, random, f32 and run with eager attention. Norm gains are drawn around 1 and biases around 0, so
that a forgotten one changes every figure. tests/golden/README.md describes the files.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
VOCAB, ROWS, SEQ, STEPS = 97, 2, 32, 20
SEED = 20240607


# largest gradient norm; the one not 1 lies amid the norms of its run, so that some of its steps are clipped and some are not
CLIP = {"llama-untied-mha": 3.0}


def llama(**other):
    shape = dict(
        vocab_size=VOCAB, hidden_size=48, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=None,
    )
    shape.update(other)
    return shape


def rope(theta, **scaling):
    return {"rope_type": scaling.pop("kind", "default"), "rope_theta": theta, **scaling}


# theta 500 puts a short, a middle and a long wavelength (6.3, 17.7, 50) on the three branches of the llama3 formula
LLAMA3 = rope(500.0, kind="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)

MODELS = {
    "llama-tied-gqa": ("llama", llama(rope_parameters=rope(10000.0))),
    "llama-untied-mha": ("llama", llama(num_key_value_heads=4, tie_word_embeddings=False, rope_parameters=rope(10000.0))),
    # an epsilon of the size of the mean square shows whether it stands under the root
    "llama-bias": ("llama", llama(attention_bias=True, rms_norm_eps=1e-2, rope_parameters=rope(10000.0))),
    "llama-linear-rope": ("llama", llama(rope_parameters=rope(10000.0, kind="linear", factor=4.0))),
    "llama3-rope": ("llama", llama(rope_parameters=LLAMA3, max_position_embeddings=256)),
    "llama-headdim": ("llama", llama(head_dim=20, rope_parameters=rope(10000.0))),
    "mistral-window": ("mistral", llama(head_dim=12, sliding_window=7, rope_parameters=rope(10000.0))),
    "qwen2": ("qwen2", llama(rms_norm_eps=1e-6, use_sliding_window=False, rope_parameters=rope(1e6))),
    # only the second layer has the window
    "qwen2-window": ("qwen2", llama(rms_norm_eps=1e-6, use_sliding_window=True, sliding_window=9, max_window_layers=1,
                                    rope_parameters=rope(1e6))),
    "qwen3": ("qwen3", llama(head_dim=16, rms_norm_eps=1e-6, rope_parameters=rope(1e6))),
    # windows of 32 are longer than the original 16; pairs are kept, on the ramp and scaled
    "llama-yarn": ("llama", llama(head_dim=20, tie_word_embeddings=False, rope_parameters=rope(
        10000.0, kind="yarn", factor=4.0, original_max_position_embeddings=16, beta_slow=0.1))),
    "qwen2-yarn": ("qwen2", llama(rms_norm_eps=1e-6, rope_parameters=rope(
        1e4, kind="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=1.5, beta_slow=0.3, truncate=False,
        mscale=0.8, mscale_all_dim=0.3))),
    "smollm3": ("smollm3", llama(rms_norm_eps=1e-6, no_rope_layers=[0, 1], rope_parameters=rope(2e6))),
    # no biases: without rotation the bias of K changes nothing, and AdamW would follow the noise of its gradient
    "smollm3-yarn": ("smollm3", llama(
        head_dim=14, rms_norm_eps=1e-6, tie_word_embeddings=False, no_rope_layer_interval=2,
        rope_parameters=rope(2e4, kind="yarn", factor=2.0, original_max_position_embeddings=32, attention_factor=1.3))),
}

# far beyond every length that their rope was made for
LONG = ("llama-linear-rope", "llama3-rope", "llama-yarn", "qwen2-yarn", "smollm3-yarn")
LONG_SEQ, LONG_KEPT = 1200, 8


def build(name):
    kind, shape = MODELS[name]
    config = transformers.AutoConfig.for_model(kind, **shape)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for key, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if key.endswith("bias"):
                weight.copy_(0.1 * noise)
            elif weight.ndim == 1:
                weight.copy_(1.0 + 0.2 * noise)
            else:
                weight.copy_(0.15 * noise)
    return model.train()


def sequences(count, seed):
    """`[count, ROWS, SEQ + 1]` ids with something to learn: four of five follow from the one before."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(0, VOCAB, (count, ROWS, SEQ + 1), generator=generator)
    follows = torch.rand((count, ROWS, SEQ + 1), generator=generator) < 0.8
    ids = draws.clone()
    for t in range(1, SEQ + 1):
        ids[..., t] = torch.where(follows[..., t], (5 * ids[..., t - 1] + 3) % VOCAB, draws[..., t])
    return ids


def mean_loss(model, inputs, targets):
    logits = model(input_ids=inputs, use_cache=False).logits
    return F.cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1)), logits


def gradients(model, inputs, targets):
    """Of the mean loss, in f64 wherever transformers does not ask for f32 itself (norms, softmax, rotation)."""
    model = model.double()
    model.zero_grad(set_to_none=True)
    loss, _ = mean_loss(model, inputs, targets)
    loss.backward()
    found = {key: weight.grad.float().clone() for key, weight in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    model.float()
    return found


def train(model, inputs, targets, clip):
    """STEPS of AdamW with decay on matrices and embeddings and a clipped gradient: `(losses, norms before clipping)`."""
    decayed = [w for w in model.parameters() if w.ndim >= 2]
    others = [w for w in model.parameters() if w.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        loss, _ = mean_loss(model, inputs[step], targets[step])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip).detach())
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), torch.stack(norms)


def save_model(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    for extra in folder.iterdir():
        if extra.name not in ("config.json", "model.safetensors", "expected.safetensors", "long.safetensors"):
            extra.unlink()


def make_long(name, root):
    """Logits of the last positions of one long window."""
    model = transformers.AutoModelForCausalLM.from_pretrained(root / name, dtype=torch.float32, attn_implementation="eager")
    tokens = torch.randint(0, VOCAB, (1, LONG_SEQ), generator=torch.Generator().manual_seed(SEED + 3))
    with torch.no_grad():
        logits = model.eval()(input_ids=tokens, use_cache=False).logits[0, -LONG_KEPT:]
    out = {"tokens": tokens[0].int(), "logits": logits.contiguous()}
    save_file(out, root / name / "long.safetensors")


def make(name, root):
    model = build(name)
    save_model(model, root / name)
    probe = sequences(1, SEED + 1)[0]
    tokens, targets = probe[:, :-1], probe[:, 1:]
    with torch.no_grad():
        _, logits = mean_loss(model, tokens, targets)
        loss = F.cross_entropy(logits.double().reshape(-1, VOCAB), targets.reshape(-1))
    out = {"tokens": tokens.int(), "targets": targets.int(), "logits": logits, "loss": loss.float().reshape(1)}
    out |= {f"grad.{key}": value for key, value in gradients(model, tokens, targets).items()}
    ids = sequences(STEPS, SEED + 2)
    out["batches"], out["batch_targets"] = ids[..., :-1].int(), ids[..., 1:].int()
    clip = CLIP.get(name, 1.0)
    out["clip_norm"] = torch.tensor([clip])
    out["losses20"], out["grad_norms20"] = train(model, ids[..., :-1], ids[..., 1:], clip)
    out |= {f"final.{key}": weight.detach() for key, weight in model.named_parameters()}
    save_file({key: value.contiguous() for key, value in out.items()}, root / name / "expected.safetensors")
    if name in LONG:
        make_long(name, root)
    norms = out["grad_norms20"]
    print(f"{name:18} {sum(w.numel() for w in model.parameters()):6} parameters  loss {loss:.6f}  "
          f"after {STEPS} steps {out['losses20'][-1]:.6f}  norms {norms.min():.2f}..{norms.max():.2f}")


def compare(name, made, committed):
    """Largest relative difference between two versions of a model's files (0 on the machine that made them)."""
    worst = 0.0
    for part in ("model.safetensors", "expected.safetensors") + (("long.safetensors",) if name in LONG else ()):
        a, b = load_file(made / name / part), load_file(committed / name / part)
        if a.keys() != b.keys():
            sys.exit(f"{name}/{part}: tensors differ: {sorted(a.keys() ^ b.keys())}")
        for key in a:
            scale = b[key].double().abs().max().clamp_min(1e-12)
            worst = max(worst, ((a[key].double() - b[key].double()).abs().max() / scale).item())
    configs = [json.loads((root / name / "config.json").read_text()) for root in (made, committed)]
    for config in configs:
        config.pop("transformers_version", None)
    if configs[0] != configs[1]:
        sys.exit(f"{name}/config.json differs: {configs[0]} / {configs[1]}")
    return worst


def check(names, tolerance=1e-2):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in names:
            make(name, root)
            worst = compare(name, root, GOLDEN)
            if not worst <= tolerance:
                sys.exit(f"{name}: made again, the figures differ by {worst:.1e} of the largest (allowed {tolerance:.0e})")
            print(f"{name:18} made again: differs by {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only the models whose name contains one of these")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.disable_progress_bar()
    names = [n for n in MODELS if not args.words or any(word in n for word in args.words)]
    if args.check:
        return check(names)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    for name in names:
        make(name, GOLDEN)


if __name__ == "__main__":
    main()
