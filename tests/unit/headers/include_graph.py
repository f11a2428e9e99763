"""The rooms of include/weft and who may enter which.

include_graph.py INCLUDE_DIRECTORY

A room sees the rooms named in its line below, and what those see. Rooms below `io` stand on the standard library alone, but for the
packages named here. No kernel knows the name of a layer or of a model: a plain search for one in the rooms that plan and execute finds
nothing, not even inside another word.
"""
import re
import sys
from pathlib import Path

SEES = {
    "core": [],
    "expr": ["core"],
    "plan": ["expr"],
    "cpu": ["plan"],
    "cuda": ["plan"],
    "nn": ["expr"],
    "models": ["nn", "plan"],
    "io": ["core", "nn"],
    "text": ["core"],
    "generate": ["models", "plan", "cpu", "cuda", "io", "text"],
    "train": ["expr", "nn"],
}
PACKAGES = {
    "io": r"nlohmann/",
    "text": r"nlohmann/|utf8proc\.h$|pcre2\.h$",
}
SYSTEM = {  # headers of the operating system and of the compiler
    "core": r"sys/mman\.h$",
    "cpu": r"(x86|imm)intrin\.h$|arm_neon\.h$|sched\.h$|pthread\.h$|unistd\.h$",
    "cuda": r"cuda\w*\.h$|cooperative_groups",
    "io": r"(sys/\w+|fcntl|unistd)\.h$",
    "generate": r"(sys/\w+|unistd)\.h$",
}
LAYER_NAMES = re.compile(r"\w*(rms|swiglu|rope|qwen|moe|llama|gqa)\w*", re.I)
CUDA_RUNTIME = re.compile(r"\bcuda[A-Z]\w*")  # its names are not ours: cudaGetDeviceProperties
ROOMS_WITHOUT_LAYER_NAMES = ["plan", "cpu", "cuda"]
STANDARD = re.compile(r"[a-z_]+$")  # <vector>, <type_traits>: no folder, no ending


def seen_from(room):
    rooms = {room}
    for other in SEES[room]:
        rooms |= seen_from(other)
    return rooms


def problems_of(path, room, rooms):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path}:{number}"
        word = LAYER_NAMES.search(CUDA_RUNTIME.sub("", line))
        if word and room in ROOMS_WITHOUT_LAYER_NAMES:
            yield f"{where}: '{word[0]}' contains '{word[1]}', the name of a layer or model, and {room}/ knows none"
        included = re.match(r'\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', line)
        if not included:
            continue
        target = included[2] or included[3]
        if included[3]:  # relative to the file
            resolved = (path.parent / target).resolve()
            if not resolved.is_relative_to(rooms):
                yield f'{where}: "{target}" lies outside of the library'
                continue
            target = f"weft/{resolved.relative_to(rooms)}"
        if target.startswith("weft/"):
            other = target.split("/")[1]
            if other not in SEES:
                yield f"{where}: {target} is in no room"
            elif other not in seen_from(room):
                yield f"{where}: {room}/ may not include {target}, only {', '.join(sorted(seen_from(room)))}"
        elif not STANDARD.match(target):
            allowed = [table[room] for table in (PACKAGES, SYSTEM) if room in table]
            if not any(re.match(pattern, target) for pattern in allowed):
                yield f"{where}: {room}/ may not include <{target}>"


def main():
    rooms = Path(sys.argv[1]).resolve() / "weft"
    headers = [path for path in sorted(rooms.glob("**/*")) if path.suffix in (".hpp", ".cuh", ".h") and path.parent != rooms]
    problems = []
    for path in headers:
        room = path.relative_to(rooms).parts[0]
        problems += list(problems_of(path, room, rooms)) if room in SEES else [f"{path}: {room}/ is not a room of the design"]
    print(*problems, f"{len(headers)} headers, {len(problems)} problems", sep="\n")
    return 1 if problems or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
