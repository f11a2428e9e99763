"""Compilers bound the work of constant evaluation and the depth of templates. No user of weft should have to raise these bounds.

limits.py SUBJECT --compiler C... --include DIR... [--measure]

Compiles SUBJECT with half of each compiler's defaults, which must do. --measure reports how much of each bound it takes, found by lowering that
bound in halves until the subject no longer compiles.
"""
import argparse
import subprocess
import sys
from pathlib import Path

SMALLEST = 7  # a use below default / 2^SMALLEST is not measured further
BOUNDS = {  # the defaults of g++ 12, clang 14 and nvcc 13
    "g++": {"-fconstexpr-ops-limit": 33554432, "-fconstexpr-loop-limit": 262144, "-fconstexpr-depth": 512, "-ftemplate-depth": 900},
    "clang++": {"-fconstexpr-steps": 1048576, "-fconstexpr-depth": 512, "-ftemplate-depth": 1024, "-fbracket-depth": 256},
    "nvcc": {"-Xcudafe=--max_cost_constexpr_call": 2000000, "-Xcudafe=--max_depth_constexpr_call": 256, "-ftemplate-depth": 200},
}


def compile(compiler, kind, options, *extra):
    mode = ["-x", "cu", "-cuda", "-o", "/dev/null"] if kind == "nvcc" else ["-fsyntax-only"]
    includes = [f"-I{directory}" for directory in options.include if directory and Path(directory) != Path("/usr/include")]
    return subprocess.run([compiler, "-std=c++20", *mode, *includes, *extra, str(options.subject)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")


def share_of(compiler, kind, options, option, default):
    """How often a bound can be halved, and that in words."""
    fits, fails = 0, SMALLEST + 1  # the subject fits into default / 2^fits
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if compile(compiler, kind, options, f"{option}={default >> middle}").returncode == 0:
            fits = middle
        else:
            fails = middle
    below = f"{default >> fails} to {default >> fits}" if fails <= SMALLEST else f"less than {default >> fits}"
    return fits, f"{kind} {option.split('=')[-1].lstrip('-')}: {below} of {default}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", type=Path)
    parser.add_argument("--compiler", action="append", required=True)
    parser.add_argument("--include", action="append", required=True)
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    failures = 0
    for compiler in options.compiler:
        name = Path(compiler).name
        kind = "clang++" if "clang" in name else "nvcc" if "nvcc" in name else "g++"
        result = compile(compiler, kind, options)
        if result.returncode:
            failures += 1
            print(f"{kind}: {options.subject} does not compile with the defaults", result.stdout[:4000], sep="\n")
            continue
        halves = [f"{option}={default >> 1}" for option, default in BOUNDS[kind].items()]
        is_well = compile(compiler, kind, options, *halves).returncode == 0
        if is_well:
            print(f"ok {kind}: half of each bound is enough", flush=True)
        if options.measure or not is_well:
            for option, default in BOUNDS[kind].items():
                fits, text = share_of(compiler, kind, options, option, default)
                failures += fits == 0
                print("ok" if fits else "FAILED", text, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
