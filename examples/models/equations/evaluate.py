# Measures the checkpoint beside this file (or --model) on held-out equations by greedy decoding, and writes expected.json: see README.md.
import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from grammar import FORMS, held_out_problems

HERE = Path(__file__).resolve().parent
HELD_OUT_SEED = 97
MAX_NEW_TOKENS = 128
EXPECTED_PROMPTS = [
    "2x + 3 = 7", "5x - 4 = 21", "-3x + 7 = -20", "7x + 12 = 3x - 8", "4(x - 5) = 16", "6x + 5 = 19", "x/8 - 11 = -4", "3x+1=3x+5"]


@torch.no_grad()
def greedy(model, tokenizer, prompts):
  """The generated ids of each prompt up to and including the end token. Prompts of one length form a batch, so none is padded."""
  by_length, answers = defaultdict(list), {}
  ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
  for index, prompt_ids in enumerate(ids):
    by_length[len(prompt_ids)].append(index)
  for length, indices in by_length.items():
    batch = torch.tensor([ids[i] for i in indices])
    generated = model.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    for index, row in zip(indices, generated[:, length:].tolist()):
      end = next((i + 1 for i, token in enumerate(row) if token == tokenizer.eos_token_id), len(row))
      answers[index] = row[:end]
  return [answers[i] for i in range(len(prompts))]


def accuracy(model, tokenizer, problems):
  """Counts per form: problems, right final lines, right in every character; and the problems that went wrong."""
  generated = greedy(model, tokenizer, [equation for _, equation, _ in problems])
  total, answer, steps, wrong = Counter(), Counter(), Counter(), []
  for (form, equation, solution), ids in zip(problems, generated):
    ended = ids[-1] == tokenizer.eos_token_id
    text = tokenizer.decode(ids[:-1] if ended else ids)
    total[form] += 1
    answer[form] += ended and text.split("\n")[-1] == solution.split("\n")[-1]
    steps[form] += ended and text == solution
    if not ended or text != solution:
      wrong.append((equation, text, solution))
  return total, answer, steps, wrong


@torch.no_grad()
def expected(model, tokenizer):
  """What a float32 implementation must reproduce: ids and texts of some prompts, and the last logits of the first one."""
  records = []
  for prompt, ids in zip(EXPECTED_PROMPTS, greedy(model, tokenizer, EXPECTED_PROMPTS)):
    prompt_ids = tokenizer(prompt)["input_ids"]
    records.append({"prompt": prompt, "prompt_ids": prompt_ids, "ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True)})
  logits = model(torch.tensor([records[0]["prompt_ids"]])).logits[0, -1]
  return {"dtype": "float32", "greedy": records, "last_logits_of_first_prompt": [float(f"{value:.7g}") for value in logits.tolist()]}


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("--model", type=Path, default=HERE)
  parser.add_argument("--count", type=int, default=1000)
  parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
  parser.add_argument("--show-wrong", action="store_true")
  parser.add_argument("--write-expected", action="store_true", help="also write expected.json into the model's folder (float32 only)")
  options = parser.parse_args()
  if options.write_expected and options.dtype != "float32":
    parser.error("--write-expected needs --dtype float32")

  tokenizer = AutoTokenizer.from_pretrained(options.model)
  model = AutoModelForCausalLM.from_pretrained(options.model, dtype=getattr(torch, options.dtype), attn_implementation="eager").eval()
  total, answer, steps, wrong = accuracy(model, tokenizer, held_out_problems(options.count, HELD_OUT_SEED))
  print(f"{'form':16} equations  final line right  every step right")
  for form in [function.__name__ for function in FORMS]:
    print(f"{form:16} {total[form]:9} {answer[form]:17} {steps[form]:17}")
  print(f"{options.dtype}: {total.total()} held-out equations, final line {100 * answer.total() / total.total():.1f} %, "
        f"every step {100 * steps.total() / total.total():.1f} %")
  if options.show_wrong:
    for equation, text, solution in wrong:
      print(f"\n--- {equation}\nmodel:{text}\nright:{solution}")
  if options.write_expected:
    (options.model / "expected.json").write_text(json.dumps(expected(model, tokenizer), indent=1) + "\n")


if __name__ == "__main__":
  main()
