#!/usr/bin/env python3
"""Makes data/smollm2.json: what HF transformers says to a few prompts with the weights of the GGUF file of examples/fetch_model.py.

    make_smollm2.py

The blocks are dequantised by gguf-py into a LlamaForCausalLM in float32. Needs requirements_smollm2.txt.
"""
import hashlib
import importlib.metadata
import json
import pathlib
import random
import subprocess
import sys

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils.chat_template_utils import render_jinja_template

PINNED = {"gguf": "0.19.0", "tokenizers": "0.23.3", "torch": "2.13.0", "transformers": "5.23.0"}
HERE = pathlib.Path(__file__).resolve().parent
GREEDY_TOKENS = 32
LARGEST, OTHERS = 16, 32  # logits that are kept: the largest ones, and others at random places
SMALLEST_MARGIN = 0.01  # between the two largest logits of a greedy step: float32 rounding must not change the continuation
PROMPTS = [
    {"text": "The capital of France is"},
    {"text": "def fibonacci(n):\n    if n < 2:\n        return n\n    return"},
    {"messages": [{"role": "user", "content": "What is gravity?"}]},
    {"messages": [{"role": "system", "content": "You answer in one short sentence."}, {"role": "user", "content": "Who wrote Hamlet?"},
                  {"role": "assistant", "content": "Shakespeare wrote it."}, {"role": "user", "content": "In which year, 1600 or 1850?"}]},
]
NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "token_embd": "model.embed_tokens", "output_norm": "model.norm",
}


def config_of(value):
    """The sizes of the model; value(key) reads the file's metadata."""
    return LlamaConfig(
        vocab_size=value("llama.vocab_size"), hidden_size=value("llama.embedding_length"), num_hidden_layers=value("llama.block_count"),
        intermediate_size=value("llama.feed_forward_length"), num_attention_heads=value("llama.attention.head_count"),
        num_key_value_heads=value("llama.attention.head_count_kv"), rms_norm_eps=value("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("llama.rope.freq_base")},
        max_position_embeddings=value("llama.context_length"), tie_word_embeddings=True, attn_implementation="eager")


def in_halves(weight, heads):
    """Rows of q and k as HF orders them: the two coordinates of a rotation are half a head apart. In a llama file they are neighbours."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def model_of(reader, config):
    state = {}
    for tensor in reader.tensors:
        weight = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        parts = tensor.name.removesuffix(".weight").split(".")
        if parts[-1] == "attn_q":
            weight = in_halves(weight, config.num_attention_heads)
        if parts[-1] == "attn_k":
            weight = in_halves(weight, config.num_key_value_heads)
        layer = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        state[f"{layer}{NAMES[parts[-1]]}.weight"] = weight
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM(config)
    model.load_state_dict(state)  # complains about every tensor that is missing or left over
    return model.float().eval()


def tokenizer_of(value):
    """As HuggingFaceTB/SmolLM2-135M-Instruct has it in its tokenizer.json."""
    tokens, types = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type")
    assert value("tokenizer.ggml.pre") == "smollm"
    merges = [tuple(merge.split(" ")) for merge in value("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL])
    return tokenizer


@torch.no_grad()
def golden(model, tokenizer, template, prompt):
    text = prompt.get("text")
    if text is None:
        text = render_jinja_template([prompt["messages"]], chat_template=template, add_generation_prompt=True)[0][0]
    prompt_ids = tokenizer.encode(text).ids
    ids, kept, smallest = list(prompt_ids), None, float("inf")
    for _ in range(GREEDY_TOKENS):
        logits = model(torch.tensor([ids])).logits[0, -1]
        if kept is None:
            kept = logits
        two = logits.topk(2)
        smallest = min(smallest, (two.values[0] - two.values[1]).item())
        ids.append(two.indices[0].item())
    print(f"{text!r} -> {tokenizer.decode(ids[len(prompt_ids):], skip_special_tokens=False)!r}, smallest margin {smallest:.4f}")
    if smallest < SMALLEST_MARGIN:
        sys.exit("the two largest logits of a step are too close: choose another prompt")
    places = kept.topk(LARGEST).indices.tolist()
    places += random.Random(0).sample([i for i in range(len(kept)) if i not in places], OTHERS)
    return {**prompt, "rendered": text, "prompt_ids": prompt_ids, "greedy_ids": ids[len(prompt_ids):],
            "logit_ids": places, "logits": [round(kept[i].item(), 5) for i in places]}


def main():
    for package, version in PINNED.items():
        found = importlib.metadata.version(package)
        if found.split("+")[0] != version:
            sys.exit(f"expected {package} {version}, found {found}")
    file = subprocess.run([sys.executable, HERE.parents[1] / "examples/fetch_model.py", "smollm2"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()
    reader = gguf.GGUFReader(file)

    def value(key):
        return reader.fields[key].contents()

    model, tokenizer = model_of(reader, config_of(value)), tokenizer_of(value)
    cases = [golden(model, tokenizer, value("tokenizer.chat_template"), prompt) for prompt in PROMPTS]
    header = {"file_sha256": hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest(), "made_with": PINNED}
    lines = ["  " + json.dumps(case, ensure_ascii=False) for case in cases]  # a line for each prompt
    head = json.dumps(header)[:-1] + ', "cases": [\n'
    (HERE / "data/smollm2.json").write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
