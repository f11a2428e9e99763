"""The generator answers on a CUDA device as it does on the CPU; a model with experts, as transformers does.

same_answers.py GENERATOR MODEL EXPERTS

EXPERTS is one of tests/golden/data whose continuation is the same in bf16 and in float32.
"""
import json
import pathlib
import subprocess
import sys

PROMPTS = ["2x + 3 = 7", "5x - 4 = 21"]
TOKENS = 12  # of the model with experts


def run(generator, *arguments):
    result = subprocess.run([generator, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def answer(generator, model, device, *arguments):
    result = run(generator, "--model", model, "--device", device, "--json", "--stats", *arguments)
    named = "compute capability" in result.stderr
    if named != (device == "cuda"):
        sys.exit(f"--device {device}: found these statistics:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def golden_ids(folder, name):
    data = (pathlib.Path(folder) / "golden.safetensors").read_bytes()
    tensors = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:tensors])[name]["data_offsets"]
    return list(memoryview(data)[tensors + begin:tensors + end].cast("i"))


def main():
    generator, model, experts = sys.argv[1:]
    for prompt in PROMPTS:
        answers = {device: answer(generator, model, device, "--prompt", prompt) for device in ("cpu", "cuda")}
        for key in ("prompt_ids", "ids", "text", "finish_reason"):
            if answers["cpu"][key] != answers["cuda"][key]:
                sys.exit(f"{prompt}: expected {key} {answers['cpu'][key]}, found {answers['cuda'][key]} on the CUDA device")
        if not answers["cpu"]["ids"]:
            sys.exit(f"{prompt}: expected an answer, found none")
        print(prompt, "->", answers["cuda"]["text"])

    prompt, continuation = golden_ids(experts, "prompt_ids"), golden_ids(experts, "greedy_ids")[:TOKENS]
    found = answer(generator, experts, "cuda", "--ids", ",".join(map(str, prompt)), "--temperature", "0", "--max-tokens", str(TOKENS))
    if found["ids"] != continuation:
        sys.exit(f"{experts}: expected {continuation}, found {found['ids']} on the CUDA device")
    print(experts, "->", found["ids"])


if __name__ == "__main__":
    main()
