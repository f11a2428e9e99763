"""Times PyTorch on the CPU, for comparison; benchmarks/peers starts it. Every result is one line of JSON on standard output.

torch_peer.py model DIRECTORY [--prefill N,...] [--depth D,...] [--steps S]
    a checkpoint in transformers, bf16: prefill of N tokens (logits of the last one), and decode steps after D tokens. The cache of a depth is
    filled with random numbers, which cost as much to read as real ones.
torch_peer.py layers [--layers NAME,...] [--tokens N,...] [--depth D] [--modes eager,compile]
    single layers of Qwen2.5-0.5B in bf16 with random weights. So many copies of weights and inputs take turns that the caches forget them.
Needs torch, for models also transformers and safetensors (from PyPI).
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

HIDDEN, INTER, HEADS, KV_HEADS, HEAD_DIM = 896, 4864, 14, 2, 64
FORGOTTEN_BYTES, MOST_COPIES = 128e6, 256


def numbers(text):
    return [int(x) for x in text.split(",") if x]


def times(call, seconds, least=3):
    """Seconds of each call, after one that does not count."""
    call()
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < least or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return taken


def report(**values):
    print(json.dumps(values), flush=True)


# ---- whole models
def run_model(options):
    from transformers import AutoModelForCausalLM, DynamicCache

    model = AutoModelForCausalLM.from_pretrained(options.directory, dtype=torch.bfloat16)
    model.eval()
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for n in options.prefill:
        ids = (torch.arange(n) * 37 % 1000)[None]
        taken = times(lambda: model(ids, use_cache=True, logits_to_keep=1), options.seconds, 1)
        report(peer="torch", test=f"prefill:{n}", tokens_per_second=n / statistics.median(taken), runs=len(taken))
    for depth in options.depth:
        cache = DynamicCache()
        if depth:
            for layer in range(config.num_hidden_layers):
                shape = (1, config.num_key_value_heads, depth, head_dim)
                cache.update(torch.randn(shape, dtype=torch.bfloat16), torch.randn(shape, dtype=torch.bfloat16), layer)
        ids, step = torch.tensor([[1]]), iter(range(depth, depth + 1_000_000))

        def decode():
            at = next(step)
            model(ids, past_key_values=cache, use_cache=True, cache_position=torch.tensor([at]), position_ids=torch.tensor([[at]]))

        taken = times(decode, options.seconds, options.steps)
        report(peer="torch", test=f"decode_at:{depth}", tokens_per_second=1 / statistics.median(taken), runs=len(taken))


# ---- single layers
def rms_norm(x, gain):
    h = x.float()
    return (h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * gain


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def norm_qkv(x, gain, wq, bq, wk, bk, wv, bv, cos, sin):
    h = rms_norm(x, gain)
    heads = lambda y, n: y.view(x.shape[0], n, HEAD_DIM)
    return rotate(heads(F.linear(h, wq, bq), HEADS), cos, sin), rotate(heads(F.linear(h, wk, bk), KV_HEADS), cos, sin), heads(F.linear(h, wv, bv), KV_HEADS)


def norm_mlp(x, gain, w_gate, w_up, w_down):
    h = rms_norm(x, gain)
    return x + F.linear(F.silu(F.linear(h, w_gate)) * F.linear(h, w_up), w_down)


def attend_causal(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[-2] > 1, enable_gqa=True)


def arguments(layer, tokens, depth):
    r = lambda *shape: torch.randn(shape, dtype=torch.bfloat16) * 0.05
    kv = KV_HEADS * HEAD_DIM
    if layer == "Norm":
        return [r(tokens, HIDDEN), r(HIDDEN)]
    if layer == "Qkv":
        angle = torch.arange(tokens)[:, None, None] * torch.rand(HEAD_DIM // 2)
        return [r(tokens, HIDDEN), r(HIDDEN), r(HIDDEN, HIDDEN), r(HIDDEN), r(kv, HIDDEN), r(kv), r(kv, HIDDEN), r(kv),
                angle.cos().bfloat16(), angle.sin().bfloat16()]
    if layer == "Mlp":
        return [r(tokens, HIDDEN), r(HIDDEN), r(INTER, HIDDEN), r(INTER, HIDDEN), r(HIDDEN, INTER)]
    keys = depth if tokens == 1 else tokens
    return [r(1, HEADS, tokens, HEAD_DIM), r(1, KV_HEADS, keys, HEAD_DIM), r(1, KV_HEADS, keys, HEAD_DIM)]


LAYERS = {"Norm": rms_norm, "Qkv": norm_qkv, "Mlp": norm_mlp, "Attend": attend_causal}


def run_layers(options):
    for layer in options.layers.split(","):
        for tokens in options.tokens:
            size = sum(a.nbytes for a in arguments(layer, tokens, options.depth))
            copies = [arguments(layer, tokens, options.depth) for _ in range(max(1, min(MOST_COPIES, int(FORGOTTEN_BYTES / size) + 1)))]
            for mode in options.modes.split(","):
                call = LAYERS[layer] if mode == "eager" else torch.compile(LAYERS[layer], dynamic=False)
                turn = iter(range(10**9))
                taken = times(lambda: call(*copies[next(turn) % len(copies)]), options.seconds, 10)
                test = f"prefill:{tokens}" if tokens > 1 else "decode" if layer != "Attend" else f"decode_at:{options.depth}"
                report(peer=f"torch {mode}", layer=layer, test=test, microseconds=1e6 * statistics.median(taken), runs=len(taken))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    model = commands.add_parser("model")
    model.add_argument("directory")
    model.add_argument("--prefill", type=numbers, default=[])
    model.add_argument("--depth", type=numbers, default=[])
    model.add_argument("--steps", type=int, default=16)
    layers = commands.add_parser("layers")
    layers.add_argument("--layers", default=",".join(LAYERS))
    layers.add_argument("--tokens", type=numbers, default=[1, 512])
    layers.add_argument("--depth", type=int, default=4096, help="keys that a decoded token sees")
    layers.add_argument("--modes", default="eager,compile")
    for p in (model, layers):
        p.add_argument("--threads", type=int, default=torch.get_num_threads())
        p.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    with torch.inference_mode():
        run_model(options) if options.command == "model" else run_layers(options)


if __name__ == "__main__":
    main()
