"""A GGUF file of ours against the Hugging Face folder that it was made from, with gguf-py's reader, names and constants: every
tensor bit for bit, every key by its value. A key that is not known here is a failure: nothing is written unseen."""

import json

import gguf
import numpy as np
from safetensors.numpy import load_file

from interop import Failure

# Of our own and for people; what they say is checked where it is made
FREE = ("general.name", "general.size_label", "general.base_model.", "general.tags", "autoane.")


def check(path, folder, tokens):
    """Raises a Failure at the first difference; gives the architecture, and the numbers of keys and tensors compared."""
    config = json.loads((folder / "config.json").read_text())
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    wanted = keys(fields.get("general.architecture"), config, tokens)
    for name, value in fields.items():
        if name.startswith(FREE):
            continue
        if name not in wanted:
            raise Failure(f"{path}: the key {name} = {str(value)[:80]} is not expected")
        if not same(value, wanted.pop(name)):
            raise Failure(f"{path}: the key {name} is {str(value)[:80]}")
    if wanted:
        raise Failure(f"{path}: without the keys {', '.join(sorted(wanted))}")
    return fields["general.architecture"], len(fields), tensors(path, reader, folder, config, fields["general.architecture"])


def same(found, wanted):
    if isinstance(wanted, float):
        return np.float32(found) == np.float32(wanted)
    return found == wanted


def keys(arch, config, tokens):
    """What the file has to say."""
    heads, rope = config["num_attention_heads"], config["rope_parameters"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    own = {
        "block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads, "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": width, "attention.value_length": width, "vocab_size": config["vocab_size"],
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.dimension_count": width, "rope.freq_base": float(rope["rope_theta"]),
    }
    if rope["rope_type"] in ("linear", "yarn"):
        own |= {"rope.scaling.type": rope["rope_type"], "rope.scaling.factor": float(rope["factor"])}
    if rope["rope_type"] == "yarn":
        # the ends of the ramp, which llama.cpp computes with whatever is said
        own |= {"rope.scaling.original_context_length": rope["original_max_position_embeddings"],
                "rope.scaling.yarn_beta_fast": 32.0, "rope.scaling.yarn_beta_slow": 1.0}
    general = {"architecture": arch, "type": "model", "file_type": 0, "quantization_version": 2}
    return {f"{arch}.{k}": v for k, v in own.items()} | {f"general.{k}": v for k, v in general.items()} | vocabulary(tokens)


def vocabulary(tokens):
    """The tokenizer's keys: byte-level BPE whose first token ends a text."""
    made = json.loads(tokens.to_str())
    texts = [text for text, _ in sorted(tokens.get_vocab().items(), key=lambda pair: pair[1])]
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    special = {entry["id"] for entry in made["added_tokens"] if entry["special"]}
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in made["model"]["merges"]]
    own = {
        "model": "gpt2", "pre": "gpt-2", "tokens": texts, "merges": merges, "eos_token_id": 0,
        "token_type": [control if i in special else normal for i in range(len(texts))],
        "add_bos_token": False, "add_eos_token": False,
    }
    return {f"tokenizer.ggml.{k}": v for k, v in own.items()}


def tensors(path, reader, folder, config, arch):
    """Compares all of them, by gguf-py's table of names; gives their number."""
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
    found = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    divisors = found.pop("rope_freqs.weight", None)
    if (divisors is not None) != (config["rope_parameters"]["rope_type"] == "llama3"):
        raise Failure(f"{path}: rope_freqs.weight and the scaling {config['rope_parameters']['rope_type']} do not go together")
    for name, values in load_file(folder / "model.safetensors").items():
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if theirs not in found:
            raise Failure(f"{path}: {name} is not there as {theirs}")
        if arch in INTERLEAVED and ".self_attn.q_proj." in name:
            values = interleaved(values, config["num_attention_heads"])
        elif arch in INTERLEAVED and ".self_attn.k_proj." in name:
            values = interleaved(values, config["num_key_value_heads"])
        ours = found.pop(theirs)
        if ours.shape != values.shape or not np.array_equal(ours.view(np.uint32), values.astype(np.float32).view(np.uint32)):
            raise Failure(f"{path}: {theirs} is not {name}")
    if found:
        raise Failure(f"{path}: tensors that the folder does not have: {', '.join(found)}")
    return len(reader.tensors)


# Whose rotation turns neighbours in llama.cpp, where transformers turns the halves of a head
INTERLEAVED = ("llama", "smollm3")


def interleaved(values, heads):
    """Rows of each head, first one of the first half, then one of the second, and so on."""
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
