# Makes data/: small random checkpoints and what HF transformers computes with them (see README.md). Needs torch 2.13.0 and
# transformers 5.23.0, as requirements.txt pins them; other releases may round elsewhere.
import argparse
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen2MoeConfig,
                          Qwen2MoeForCausalLM)

PINNED = {"torch": "2.13.0", "transformers": "5.23.0"}
GREEDY_TOKENS = 64
# The two largest logits differ by at least this fraction of the largest magnitude at every greedy step, so that float32
# rounding cannot choose another token.
SMALLEST_GAP = 3e-3
# A continuation that only repeats itself would hide errors in the cache.
FEWEST_DISTINCT_TOKENS = 20
SEEDS = 2000


@dataclass
class Case:
  name: str
  query_heads: int
  kv_heads: int
  head_dim: int
  hidden: int
  intermediate: int
  layers: int
  vocabulary: int
  tied: bool
  eps: float
  theta: float
  prompt: int
  stored: torch.dtype
  family: str = "qwen2"
  spelling_of_2024: bool = False
  max_shard_size: str = "1GB"
  experts_alike: int = 1  # so many neighbouring experts are the same; their rows in the router are, too, or nearly
  more: dict = field(default_factory=dict)


F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
WINDOW = {"use_sliding_window": True, "sliding_window": 8}
CASES = [
    # hidden = heads * head_dim here, as files of 2024 have it: they do not state head_dim.
    Case("group1_tied_2024", 2, 2, 64, 128, 136, 2, 257, True, 1e-6, 1e6, 130, F32, spelling_of_2024=True),
    Case("group5_head128_bf16", 5, 1, 128, 96, 200, 2, 257, False, 1e-5, 1e6, 29, BF16),
    Case("group6_tied_bf16", 12, 2, 64, 64, 200, 2, 1003, True, 1e-6, 1e4, 37, BF16),
    Case("group7_bf16", 7, 1, 64, 72, 200, 3, 257, False, 1e-6, 1e6, 33, BF16),
    Case("group8_window", 8, 1, 64, 64, 120, 3, 331, True, 1e-5, 1e4, 40, F32, more=WINDOW | {"max_window_layers": 1}),
    Case("group8_head128_f16", 8, 1, 128, 48, 200, 2, 257, False, 1e-6, 1e6, 21, F16),
    # The list in the file disagrees with max_window_layers, and decides.
    Case("layer_types_bf16", 7, 1, 64, 48, 200, 3, 257, False, 1e-5, 1e4, 38, BF16,
         more=WINDOW | {"max_window_layers": 2, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
    Case("sharded_bf16", 10, 2, 64, 40, 88, 2, 131, False, 1e-6, 1e6, 24, BF16, max_shard_size="100KB"),
    Case("llama", 4, 2, 64, 80, 152, 2, 257, False, 1e-5, 1e4, 31, F32, family="llama"),
    Case("experts", 2, 2, 128, 64, 96, 2, 257, False, 1e-6, 1e6, 35, F16, family="qwen2_moe", max_shard_size="150KB",
         more={"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 40}),
    # Layers 0, 2 and 4 are dense because the step is 2, layer 3 because the list says so.
    Case("experts_mixed_bf16", 2, 1, 128, 48, 88, 6, 131, False, 1e-5, 1e4, 29, BF16, family="qwen2_moe",
         more=WINDOW | {"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 24,
                        "norm_topk_prob": True, "decoder_sparse_step": 2, "mlp_only_layers": [3], "max_window_layers": 4, "qkv_bias": False}),
    # Of every three experts that are alike four cannot be chosen without a tie, and which of them are is left open by torch.topk.
    Case("experts_ties_bf16", 2, 1, 128, 48, 88, 2, 131, False, 1e-6, 1e6, 29, BF16, family="qwen2_moe", experts_alike=3,
         more={"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 24}),
]
MODELS = {"qwen2": Qwen2ForCausalLM, "llama": LlamaForCausalLM, "qwen2_moe": Qwen2MoeForCausalLM}


def make_config(case):
  common = dict(
      vocab_size=case.vocabulary, hidden_size=case.hidden, intermediate_size=case.intermediate, num_hidden_layers=case.layers,
      num_attention_heads=case.query_heads, num_key_value_heads=case.kv_heads, rms_norm_eps=case.eps, tie_word_embeddings=case.tied,
      rope_parameters={"rope_type": "default", "rope_theta": case.theta}, max_position_embeddings=512, bos_token_id=None,
      eos_token_id=None, pad_token_id=None)
  if case.hidden != case.query_heads * case.head_dim:
    common["head_dim"] = case.head_dim
  if case.family == "llama":
    return LlamaConfig(**common, attention_bias=False, mlp_bias=False)
  return (Qwen2MoeConfig if case.family == "qwen2_moe" else Qwen2Config)(**common, **case.more)


@torch.no_grad()
def randomise(model, case, seed):
  """Every parameter at random: gains around 1, biases that matter, matrices that keep the size of what they multiply."""
  generator = torch.Generator().manual_seed(seed)
  for name, parameter in sorted(model.named_parameters()):
    noise = torch.randn(parameter.shape, generator=generator)
    if name.endswith("norm.weight"):
      parameter.copy_(1 + 0.3 * noise)
    elif name.endswith(".bias"):
      parameter.copy_(0.5 * noise)
    elif name.endswith("embed_tokens.weight"):
      parameter.copy_((3 / math.sqrt(case.hidden) if case.tied else 1.0) * noise)
    elif name.endswith("lm_head.weight"):
      parameter.copy_(3 / math.sqrt(case.hidden) * noise)
    else:  # in memory the experts' matrices are one tensor
      parameter.copy_(1.5 / math.sqrt(parameter.shape[-1]) * noise)


@torch.no_grad()
def make_alike(model, alike):
  """Experts come in groups that compute the same. Their router logits are equal in the even layers; in the odd ones they differ so little that some
  are equal after rounding, in bfloat16 or even in float32: the least element of a router's row is moved by a unit in the last place of bfloat16."""
  for number, layer in enumerate(model.model.layers):
    router, experts = layer.mlp.gate.weight, layer.mlp.experts
    for parameter in (router, experts.gate_up_proj, experts.down_proj):
      for expert in range(parameter.shape[0]):
        parameter[expert] = parameter[expert - expert % alike].bfloat16().float()
    for expert in range(router.shape[0] if number % 2 else 0):
      least = router[expert].abs().argmin()
      router[expert, least] = (router[expert, least].bfloat16().view(torch.int16) + expert % alike).view(torch.bfloat16).float()


def spell_as_in_2024(path, dtype):
  """config.json as it was published with the first Qwen2 models: no dict for RoPE, no kinds of layers, an inactive window."""
  config = json.loads(path.read_text())
  config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
  for key in ("layer_types", "dtype", "pad_token_id", "bos_token_id", "eos_token_id", "head_dim"):
    config.pop(key, None)
  config |= {"torch_dtype": str(dtype).removeprefix("torch."), "sliding_window": 512, "transformers_version": "4.40.1"}
  path.write_text(json.dumps(config, indent=2) + "\n")


@torch.no_grad()
def reference(folder, case, seed):
  """Logits of a prompt and its greedy continuation by the saved files, and the smallest relative gap on the way."""
  model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
  prompt = torch.randint(case.vocabulary, (1, case.prompt), generator=torch.Generator().manual_seed(seed))
  everything = model.generate(
      prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=GREEDY_TOKENS, eos_token_id=None, pad_token_id=0)
  greedy = everything[0, case.prompt:]
  # The steps again without a cache: both ways must agree, and these logits give the gaps.
  steps = model(everything[:, :-1]).logits[0, case.prompt - 1:]
  if not torch.equal(steps.argmax(-1), greedy):
    return None
  first, second = steps.topk(2).values.unbind(-1)
  gap = ((first - second) / steps.abs().amax(-1)).min().item()
  tensors = {
      "prompt_ids": prompt[0].to(torch.int32), "greedy_ids": greedy.to(torch.int32), "logits_f32": model(prompt).logits[0].contiguous()}
  if case.family == "qwen2_moe":
    routed = model(prompt, output_router_logits=True)
    tensors |= {"router_logits": torch.cat(routed.router_logits).contiguous(), "load_balancing_loss": routed.aux_loss.reshape(1)}
  return tensors, gap


@torch.no_grad()
def bf16_logits(folder, tensors):
  # The dtype is given at loading: a later conversion would also round RoPE's frequencies.
  model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager").eval()
  return model(tensors["prompt_ids"].long()[None]).logits[0].contiguous()


def make(case, folder):
  config = make_config(case)
  model = MODELS[case.family](config)
  for seed in range(SEEDS):
    shutil.rmtree(folder, ignore_errors=True)
    randomise(model.to(torch.float32), case, seed)
    if case.experts_alike > 1:
      make_alike(model, case.experts_alike)
    model.to(case.stored).save_pretrained(folder, max_shard_size=case.max_shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if case.spelling_of_2024:
      spell_as_in_2024(folder / "config.json", case.stored)
    found = reference(folder, case, seed)
    if found and found[1] >= SMALLEST_GAP and found[0]["greedy_ids"].unique().numel() >= FEWEST_DISTINCT_TOKENS:
      break
  else:
    raise SystemExit(f"{case.name}: none of {SEEDS} seeds gives a continuation with clear choices")
  tensors, gap = found
  report = f"{case.name}: seed {seed}, smallest gap {gap:.1e}, {tensors['greedy_ids'].unique().numel()} distinct tokens"
  if case.stored == torch.bfloat16:
    tensors["logits_bf16"] = bf16_logits(folder, tensors)
    error = (tensors["logits_bf16"].float() - tensors["logits_f32"]).norm() / tensors["logits_f32"].norm()
    report += f", bf16 differs from float32 by {error:.1e}"
  save_file(tensors, folder / "golden.safetensors")
  for path in folder.iterdir():
    path.chmod(0o644)
  print(report, flush=True)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "data")
  parser.add_argument("--only", help="make only the case of this name")
  options = parser.parse_args()
  for module in (torch, transformers):
    if module.__version__.split("+")[0] != PINNED[module.__name__]:
      parser.error(f"{module.__name__} is {module.__version__}, the golden files are made with {PINNED[module.__name__]}")
  transformers.logging.set_verbosity_error()
  transformers.logging.disable_progress_bar()
  torch.set_num_threads(1)
  for case in CASES:
    if options.only in (None, case.name):
      make(case, options.out / case.name)


if __name__ == "__main__":
  main()
