"""The generator answers on a CUDA device as it does on the CPU.

same_answers.py GENERATOR MODEL
"""
import json
import subprocess
import sys

PROMPTS = ["2x + 3 = 7", "5x - 4 = 21"]


def run(generator, *arguments):
    result = subprocess.run([generator, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def main():
    generator, model = sys.argv[1:]
    for prompt in PROMPTS:
        answers = {}
        for device in ("cpu", "cuda"):
            result = run(generator, "--model", model, "--prompt", prompt, "--device", device, "--json", "--stats")
            answers[device] = json.loads(result.stdout.splitlines()[-1])
            named = "compute capability" in result.stderr
            if named != (device == "cuda"):
                sys.exit(f"--device {device}: found these statistics:\n{result.stderr}")
        for key in ("prompt_ids", "ids", "text", "finish_reason"):
            if answers["cpu"][key] != answers["cuda"][key]:
                sys.exit(f"{prompt}: expected {key} {answers['cpu'][key]}, found {answers['cuda'][key]} on the CUDA device")
        if not answers["cpu"]["ids"]:
            sys.exit(f"{prompt}: expected an answer, found none")
        print(prompt, "->", answers["cuda"]["text"])


if __name__ == "__main__":
    main()
