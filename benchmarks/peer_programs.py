"""The programs that benchmarks/peers times, each as a class with the same questions. A program is started anew for every figure."""
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "build"


def run(options, command):
    command = options.prefix + [str(c) for c in command]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    if result.returncode != 0:
        sys.exit(f"peers: {shlex.join(command)} ended with status {result.returncode}:\n{result.stderr[-2000:]}{result.stdout[-500:]}")
    return result.stdout


def json_in(text):
    """The JSON value that ends a program's output. Warnings may come before it and in between: no line of JSON begins with a letter."""
    text = "\n".join(line for line in text.splitlines() if not line[:1].isalpha())
    for start in (i for i, c in enumerate(text) if c in "[{" and (i == 0 or text[i - 1] == "\n")):
        try:
            return json.loads(text[start:])
        except json.JSONDecodeError:
            continue
    sys.exit(f"peers: expected JSON, found:\n{text[-500:]}")


# ---- a test of a whole model: ("prefill", tokens) or ("decode", tokens in the cache). measure() gives tokens per second and what else is to
# be known of the figure.
class Weft:
    name = "weft"

    def __init__(self, options):
        self.options = options
        self.program = options.weft or BUILT / "benchmarks" / "benchmarks" / "weft_model_benchmarks"

    def reads(self, model):
        return model

    def measure(self, model, kind, n):
        o = self.options
        lists = ["--prefill" if kind == "prefill" else "--depth", n]
        result = json_in(run(o, [self.program, "--model", model, *lists, "--seconds", o.seconds, "--threads", o.threads, "--json"]))
        test = result.pop("tests")[0]
        return test["tokens_per_second"], {"peaks": result, "of_roofline": test["of_roofline"]}


class LlamaBench:
    """llama-bench of llama.cpp, which can fill the cache without computing, or of ik_llama.cpp, which runs a prompt first."""

    def __init__(self, options, program):
        self.options, self.program = options, program
        self.name = "ik_llama.cpp" if "ik" in Path(program).resolve().parts else "llama.cpp"
        known = subprocess.run([program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8").stdout
        self.has_depth = "--n-depth" in known
        self.can_skip_warmup = "--warmup" in known

    def reads(self, model):
        return model if str(model).endswith(".gguf") else None

    def measure(self, model, kind, n):
        o = self.options
        if kind == "prefill":
            test = ["-p", n, "-n", 0]
        elif n == 0:
            test = ["-p", 0, "-n", o.steps]
        elif self.has_depth:
            test = ["-p", 0, "-n", o.steps, "-d", n]
        else:
            test = ["-p", 0, "-n", 0, "-gp", f"{n},{o.steps}"]
        is_long = n >= 2048  # the prompt itself warms up
        test += ["-r", 1 if is_long else o.repetitions] + (["-w", 0] if is_long and self.can_skip_warmup else [])
        result = json_in(run(o, [self.program, "-m", model, "-t", o.threads, "-o", "json", *test, *o.llama_options]))
        return statistics.median(result[0]["samples_ts"]), {}


class Torch:
    """transformers on PyTorch; takes part in the tests of one model, which it reads from a directory of its own."""

    name = "PyTorch"

    def __init__(self, options, program, directory, model):
        self.options, self.program, self.directory, self.model = options, program, directory, model

    def reads(self, model):
        return (self.directory or model) if model == self.model else None

    def measure(self, model, kind, n):
        o = self.options
        lists = ["--prefill" if kind == "prefill" else "--depth", n]
        command = [self.program, HERE / "torch_peer.py", "model", model, *lists, "--threads", o.threads, "--seconds", o.seconds]
        return json.loads(run(o, command).splitlines()[-1])["tokens_per_second"], {}


# ---- from the start of a process to its end, one token later
def timed(options, command):
    """Seconds, and the largest resident memory in bytes."""
    with open(os.devnull, "r+b") as nothing:
        begin = time.perf_counter()
        process = subprocess.Popen(options.prefix + [str(c) for c in command], stdin=nothing, stdout=subprocess.PIPE, stderr=nothing)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"peers: {shlex.join(str(c) for c in command)} ended with status {process.returncode}")
    return seconds, usage.ru_maxrss * 1024, out.decode("utf-8", "replace")


class WeftStart:
    name = "weft"

    def __init__(self, options):
        self.options = options
        self.program = options.generate or BUILT / "examples" / "examples" / "generate"

    def measure(self, model):
        o = self.options
        seconds, memory, out = timed(o, [self.program, "--model", model, "--prompt", o.prompt, "--max-tokens", 1, "--temperature", 0,
                                         "--threads", o.threads, "--json"])
        report = json.loads(out.splitlines()[-1])
        return seconds, {"memory": memory, "needed": report["weight_bytes"] + report["cache_bytes"]}


class LlamaStart:
    def __init__(self, options, program):
        self.options, self.program = options, program
        self.name = "ik_llama.cpp" if "ik" in Path(program).resolve().parts else "llama.cpp"

    def measure(self, model):
        o = self.options
        seconds, memory, _ = timed(o, [self.program, "-m", model, "-p", o.prompt, "-n", 1, "-t", o.threads, "-c", 512, "--no-warmup",
                                       "--temp", 0])
        return seconds, {"memory": memory}


# ---- single layers: a figure is {test: (microseconds, fraction of the roofline or nothing)}
class WeftLayers:
    name = "weft"

    def __init__(self, options):
        self.options = options
        self.program = options.weft_layers or BUILT / "benchmarks" / "benchmarks" / "weft_benchmarks"

    def measure(self, layer, tests):
        o = self.options
        result = json_in(run(o, [self.program, "--threads", o.threads, f"--benchmark_filter=^{layer}/0.5B/bf16/({'|'.join(tests)})/",
                                 f"--benchmark_min_time={o.seconds}", "--benchmark_format=json"]))
        c = result["context"]
        peaks = dict(c, machine=f"{c['cpu']}, {c['instruction_set']}, {c['threads']} threads")
        peaks = {k: peaks[k] for k in ("machine", "read_bytes_per_second", "f32_flops", "bf16_flops", "int8_flops")}
        return [(b["name"].split("/")[3], b["real_time"], {"of_roofline": b["roof"], "peaks": peaks}) for b in result["benchmarks"]]


class TorchLayers:
    def __init__(self, options, program, mode):
        self.options, self.program, self.mode = options, program, mode
        self.name = "PyTorch eager" if mode == "eager" else "torch.compile"

    def measure(self, layer, tests):
        o = self.options
        out = run(o, [self.program, HERE / "torch_peer.py", "layers", "--layers", layer, "--modes", self.mode, "--threads", o.threads,
                      "--seconds", o.seconds])
        found = (json.loads(line) for line in out.splitlines())
        return [(r["test"], r["microseconds"], {}) for r in found if r["test"] in tests]
