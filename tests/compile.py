"""Tests that call a compiler.

compile.py must-fail FILE --compiler C... --include DIR...
    A file that must not compile says what the user is to be told:
        // expect: REGEX          every one must be found in the compiler's output (several lines allowed)
        // expect(g++): REGEX     the same for one compiler; the other is clang++
        // within: N lines        the first match of each expectation is in the first N lines
    and keeps its mistake between #ifndef CONTROL and #endif: with -DCONTROL the rest must compile, so that it cannot fail for another
    reason.
compile.py self-contained HEADER... --compiler C --include DIR... --instruction-set NAME=FLAG,FLAG...
    Every header compiles by itself, included twice, without a warning; one named *_NAME.hpp with the flags of that instruction set.
The first --include is the library's own; warnings from the others do not count.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path


def command(compiler, includes, *options):
    own, *packages = [d for d in includes if d and Path(d) != Path("/usr/include")]
    flags = ["-std=c++20", "-fsyntax-only", "-fno-diagnostics-color", "-Wall", "-Wextra", f"-I{own}"]
    return [compiler, *flags, *(f"-isystem{d}" for d in packages), *options]


def beginning(output):
    lines = output.splitlines()
    return "\n".join(lines[:40] + ["..."] * (len(lines) > 40))


def run(arguments, text=None):
    result = subprocess.run(arguments, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    return result.returncode, result.stdout


def must_fail(path, compiler, options):
    """What is wrong with the rejection of one file: a list of sentences, empty when all is as expected."""
    source = path.read_text(encoding="utf-8")
    kind = "clang++" if "clang" in Path(compiler).name else "g++"
    expected = [regex for name, regex in re.findall(r"^// expect(?:\((.+?)\))?: (.+?)\s*$", source, re.M) if name in ("", kind)]
    limit = re.search(r"^// within: (\d+) lines\s*$", source, re.M)
    if not expected:
        return ["the file has no line `// expect: REGEX`"]
    if "CONTROL" not in source:
        return ["the file has no part that -DCONTROL leaves out"]
    status, output = run(command(compiler, options.include, "-DCONTROL", str(path)))
    if status != 0:
        return ["with -DCONTROL it must compile, but:", beginning(output)]
    status, output = run(command(compiler, options.include, str(path)))
    if status == 0:
        return ["it compiles"]
    problems = []
    for regex in expected:
        found = re.search(regex, output)
        if not found:
            problems.append(f"the message is missing: {regex}")
        elif limit and (line := output.count("\n", 0, found.start()) + 1) > int(limit[1]):
            problems.append(f"the message comes in line {line}, later than line {limit[1]}: {regex}")
    return problems + [beginning(output)] if problems else []


def self_contained(header, compiler, options):
    line = f'#include "{header}"\n'
    sets = dict(pair.split("=", 1) for pair in options.instruction_set)
    flags = sets.get(header.stem.rpartition("_")[2], "").split(",")
    status, output = run(command(compiler, options.include, "-Werror", *filter(None, flags), "-xc++", "-"), line + line)
    return ["it does not compile by itself:", beginning(output)] if status else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("check", choices=["must-fail", "self-contained"])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--compiler", action="append", required=True)
    parser.add_argument("--include", action="append", required=True)
    parser.add_argument("--instruction-set", action="append", default=[])
    options = parser.parse_args()
    check = must_fail if options.check == "must-fail" else self_contained
    failures = 0
    for path in options.files:
        for compiler in options.compiler:
            problems = check(path, compiler, options)
            failures += bool(problems)
            print("FAILED" if problems else "ok", path, Path(compiler).name, *problems, sep="\n  " if problems else " ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
