"""Measures what weft costs a compiler: the time of its headers, and time and object size of the kernels of each layer.

compile_time.py [--compiler C]... [--flags FLAGS] [--programs NAME,...] [--format bf16] [--repeat N] [--json]
Times are processor time, the least of N compilations; those of kernels are beyond the headers, as are their bytes (text and data of the object).
"""
import argparse
import json
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
HEADERS = ["weft/weft.hpp", "weft/cpu/executor.hpp", "weft/models/qwen2.hpp", "weft/plan/explain.hpp"]
PROGRAMS = {"Norm": 1, "Qkv": 1, "Attend": 1, "OutProjection": 1, "GateUp": 1, "Down": 1, "Logits": 1, "Layer": 5}  # name: kernels
FORMATS = {"f32": "float"}  # names of C++ that differ


def processor_seconds(command, text=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        sys.exit(f"compile_time.py: {shlex.join(map(str, command))}:\n{result.stdout[:2000]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def object_bytes(path):
    """Bytes of code and data, without symbols and debug information."""
    sizes = subprocess.run(["size", path], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.splitlines()[1].split()
    return int(sizes[0]) + int(sizes[1])


def measure(compiler, options):
    base = [compiler, "-std=c++20", f"-I{INCLUDE}", *options.flags]
    least = lambda command, text=None: min(processor_seconds(command, text) for _ in range(options.repeat))
    empty = least(base + ["-fsyntax-only", "-xc++", "-"], "")
    rows = []
    for header in HEADERS:
        seconds = least(base + ["-fsyntax-only", "-xc++", "-"], f"#include <{header}>\n") - empty
        rows.append({"compiler": compiler, "what": f"#include <{header}>", "seconds": seconds, "bytes": 0, "kernels": 0})
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "kernel.o"
        build = base + ["-c", HERE / "compile_time.cpp", "-o", target]
        headers = least(build)
        headers_bytes = object_bytes(target)
        for program in options.programs:
            element = FORMATS.get(options.format, f"weft::{options.format}")
            chosen = [f"-DWEFT_PROGRAM={program}", f"-DWEFT_FORMAT={element}"]
            seconds = least(build + chosen) - headers
            rows.append({"compiler": compiler, "what": program, "seconds": seconds, "bytes": object_bytes(target) - headers_bytes,
                         "kernels": PROGRAMS[program]})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", action="append", help="[g++ and, where it is installed, clang++]")
    parser.add_argument("--flags", type=shlex.split, default=["-O3", "-march=native", "-ffp-contract=off"])
    parser.add_argument("--programs", type=lambda t: t.split(","), default=list(PROGRAMS))
    parser.add_argument("--format", default="bf16", help="of the weights")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="an array of rows instead of a table")
    options = parser.parse_args()
    for program in options.programs:
        if program not in PROGRAMS:
            parser.error(f"--programs: expected some of {','.join(PROGRAMS)}, found {program}")
    compilers = options.compiler or ["g++"] + ["clang++"] * bool(shutil.which("clang++"))
    rows = [row for compiler in compilers for row in measure(compiler, options)]
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'compiler':10} {'':34} {'seconds':>8} {'a kernel':>9} {'KB':>8} {'a kernel':>9}")
    for r in rows:
        line = f"{r['compiler']:10} {r['what']:34} {r['seconds']:8.2f}"
        if r["kernels"]:
            line += f" {r['seconds'] / r['kernels']:9.2f} {r['bytes'] / 1e3:8.1f} {r['bytes'] / r['kernels'] / 1e3:9.1f}"
        print(line)


if __name__ == "__main__":
    main()
