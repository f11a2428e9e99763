# Trains the equation solver from nothing and writes its checkpoint beside this file (or to --out): see README.md.
import argparse
import itertools
import json
import random
import time
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from evaluate import accuracy
from grammar import DRILLS, FORMS, NUMBERS, WIDE_NUMBERS, held_out_problems, sample

HERE = Path(__file__).resolve().parent
SEED = 20
# Equations that watch the training: another seed than evaluate.py's, so that the reported figure steers nothing.
WATCH_SEED = 5
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LARGEST_VOCABULARY = 381
# Qwen2's split: contractions, words, single digits, punctuation, line ends, spaces.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# Batches of about this many tokens are cut from a pool of problems sorted by length, so that padding costs little.
BATCH_TOKENS = 2048
POOL = 4096
# The first pools have larger numbers than the language: copying and the order of the steps are learned on more variety.
WIDE_POOLS = 19
DRILL_SHARE = 0.65
# The rate rises over WARM_UP steps, stays, and falls in a straight line to zero over the last DECAY steps.
PEAK_LEARNING_RATE = 3e-3
WARM_UP = 100
DECAY = 1000
SAVE_EVERY = 500
IGNORED = -100


def train_tokenizer():
  """A byte-level BPE with Qwen2's pipeline: 256 bytes, merges learned from equations and their steps, control tokens last."""
  rng = random.Random(SEED)
  byte_level = {"add_prefix_space": False, "trim_offsets": False, "use_regex": False}
  tokenizer = Tokenizer(models.BPE())
  tokenizer.normalizer = normalizers.NFC()
  tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
      pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False), pre_tokenizers.ByteLevel(**byte_level)])
  tokenizer.post_processor = processors.ByteLevel(**byte_level)
  tokenizer.decoder = decoders.ByteLevel(**byte_level)
  # Equation and solution are given apart: no token may span the end of the prompt.
  texts = [text for forms in (FORMS, DRILLS) for _ in range(10000) for text in sample(rng, False, forms, WIDE_NUMBERS)[1:]]
  trainer = trainers.BpeTrainer(
      vocab_size=LARGEST_VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
  tokenizer.train_from_iterator(texts, trainer)
  tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROL_TOKENS])
  return PreTrainedTokenizerFast(
      tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False,
      model_max_length=512)


def new_model(tokenizer):
  """About 1.3 million parameters; three query heads of 64 share one KV head."""
  end, im_end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
  config = Qwen2Config(
      vocab_size=len(tokenizer), hidden_size=192, intermediate_size=384, num_hidden_layers=4, num_attention_heads=3, num_key_value_heads=1,
      max_position_embeddings=512, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
      tie_word_embeddings=True, bos_token_id=None, eos_token_id=end, pad_token_id=end)
  model = Qwen2ForCausalLM(config)
  model.generation_config = GenerationConfig(eos_token_id=[end, im_end], pad_token_id=end, do_sample=False, max_new_tokens=128)
  return model


def batches(tokenizer, rng):
  """Endless (ids, labels): prompt, solution, end token; the loss sees only the solution and the end."""
  end = [tokenizer.eos_token_id]
  for pool in itertools.count():
    numbers = WIDE_NUMBERS if pool < WIDE_POOLS else NUMBERS
    problems = [sample(rng, False, DRILLS if rng.random() < DRILL_SHARE else FORMS, numbers)[1:] for _ in range(POOL)]
    prompts, solutions = (tokenizer(list(texts))["input_ids"] for texts in zip(*problems))
    rows = sorted(((prompt, solution + end) for prompt, solution in zip(prompts, solutions)), key=lambda row: len(row[0]) + len(row[1]))
    cuts = []
    while rows:
      count = max(1, BATCH_TOKENS // (len(rows[-1][0]) + len(rows[-1][1])))
      cuts.append(rows[-count:])
      rows = rows[:-count]
    rng.shuffle(cuts)
    for batch in cuts:
      length = max(len(prompt) + len(solution) for prompt, solution in batch)
      ids, labels = torch.full((len(batch), length), end[0]), torch.full((len(batch), length), IGNORED)
      for row, (prompt, solution) in enumerate(batch):
        ids[row, :len(prompt) + len(solution)] = torch.tensor(prompt + solution)
        labels[row, len(prompt):len(prompt) + len(solution)] = torch.tensor(solution)
      yield ids, labels


def learning_rate(step, steps):
  return PEAK_LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, (steps - step) / DECAY)


def save(model, tokenizer, folder):
  """The checkpoint in bfloat16. config.json carries the spellings of transformers 4 (rope_theta, torch_dtype) and of 5."""
  rounded = Qwen2ForCausalLM(model.config)
  rounded.load_state_dict(model.state_dict())
  rounded.generation_config = model.generation_config
  rounded.to(torch.bfloat16).save_pretrained(folder)
  tokenizer.save_pretrained(folder)
  path = folder / "config.json"
  config = json.loads(path.read_text())
  config |= {"rope_theta": config["rope_parameters"]["rope_theta"], "rope_scaling": None, "torch_dtype": config["dtype"]}
  path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("--out", type=Path, default=HERE)
  parser.add_argument("--steps", type=int, default=3000)
  parser.add_argument("--state", type=Path, help="keep everything that is needed to go on after an interruption in this file")
  parser.add_argument("--resume", type=Path, help="go on from such a file; with more --steps it equals one longer run")
  parser.add_argument("--threads", type=int, default=1)
  options = parser.parse_args()
  options.out.mkdir(parents=True, exist_ok=True)
  torch.set_num_threads(options.threads)
  torch.manual_seed(SEED)

  tokenizer = train_tokenizer()
  model = new_model(tokenizer)
  model.set_attn_implementation("eager")
  print(f"vocabulary {len(tokenizer)}, {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
  matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
  others = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
  optimizers = [torch.optim.Muon(matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
                torch.optim.AdamW(others, weight_decay=0.0, betas=(0.9, 0.98))]
  source = batches(tokenizer, random.Random(SEED + 1))
  watched = held_out_problems(40, WATCH_SEED)
  first = 0
  if options.resume:
    state = torch.load(options.resume)
    first = state["step"]
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"]):
      optimizer.load_state_dict(saved)
    for _ in range(first):
      next(source)

  begin = time.time()
  for step in range(first, options.steps):
    for optimizer in optimizers:
      for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, options.steps)
    ids, labels = next(source)
    # Weights and optimizer stay float32; the products run in bfloat16, as the saved model will.
    with torch.autocast("cpu", torch.bfloat16):
      loss = model(input_ids=ids, labels=labels, use_cache=False).loss
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
      optimizer.step()
    if (step + 1) % 50 == 0:
      print(f"step {step + 1}  loss {loss.item():.4f}  {(time.time() - begin) / 60:.1f} min", flush=True)
    if (step + 1) % SAVE_EVERY == 0 or step + 1 == options.steps:
      if options.state:
        torch.save({"step": step + 1, "model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}, options.state)
      save(model, tokenizer, options.out)
      model.eval()
      total, answer, right, _ = accuracy(model, tokenizer, watched)
      model.train()
      print(f"step {step + 1}  watched: of {total.total()} final line right {answer.total()}, every step {right.total()}", flush=True)


if __name__ == "__main__":
  main()
