#!/usr/bin/env python3
"""Makes the Qwen2.5 vocabulary in DIR, for the tests that compare with published token ids: vocab.json, merges.txt, tokenizer.json.

    fetch_vocabulary.py DIR

The vocabulary comes from the PyPI package "dashscope", which carries it as a list of byte strings by rank. The merges are not in that list,
but follow from it: the token of rank r came from the two pieces that the merges below r leave of its bytes.

Exits at once when the files are there, and with status 0 and a message when they cannot be had: the tests then say what they skipped.
"""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE, RESOURCE = "dashscope", "dashscope/resources/qwen.tiktoken"
SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
           "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
ADDED = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
         "<|file_sep|>"]


class Unavailable(Exception):
    pass


def download():
    """The bytes of the list of ranks."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
                   "--no-deps", "--only-binary", ":all:", "--dest", scratch, PACKAGE]
        try:
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise Unavailable("pip took longer than 300 s") from None
        if done.returncode != 0:
            raise Unavailable(f"pip could not download {PACKAGE}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
        wheel = next(pathlib.Path(scratch).glob("*.whl"), None)
        if wheel is None:
            raise Unavailable(f"pip left no wheel of {PACKAGE}")
        with zipfile.ZipFile(wheel) as archive:
            if RESOURCE not in archive.namelist():
                raise Unavailable(f"{wheel.name} no longer holds {RESOURCE}")
            ranks = archive.read(RESOURCE)
    if hashlib.sha256(ranks).hexdigest() != SHA256:
        raise Unavailable(f"{wheel.name} holds another {RESOURCE} than the one the tests know")
    return ranks


def parents(token, rank, ranks):
    """The two pieces that merging with the ranks below `rank` leaves of the token's bytes."""
    pieces = [token[i:i + 1] for i in range(len(token))]
    while len(pieces) > 2:
        best, at = min((ranks.get(a + b, rank), i) for i, (a, b) in enumerate(zip(pieces, pieces[1:])))
        if best >= rank:
            raise Unavailable(f"the token of rank {rank} is not made of two")
        pieces[at:at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def write(directory, ranks_file):
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in ranks_file.splitlines() if line)}
    alphabet = byte_alphabet()
    printable = {token: "".join(alphabet[b] for b in token) for token in ranks}
    vocabulary = {printable[token]: rank for token, rank in ranks.items()}
    merges = [[printable[part] for part in parents(token, rank, ranks)] for token, rank in ranks.items() if rank >= 256]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": id, "content": content, **flags, "special": content in SPECIAL}
             for id, content in enumerate(SPECIAL + ADDED, start=len(ranks))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": REGEX}, "behavior": "Isolated", "invert": False}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": merges}}
    files = {"vocab.json": json.dumps(vocabulary, ensure_ascii=False),
             "merges.txt": "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges),
             "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, indent=2)}
    for name, text in files.items():  # each appears whole or not at all
        unfinished = directory / f"{name}.{os.getpid()}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(directory / name)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    directory = pathlib.Path(sys.argv[1])
    if all((directory / name).is_file() for name in ("vocab.json", "merges.txt", "tokenizer.json")):
        return
    try:
        ranks_file = download()
        directory.mkdir(parents=True, exist_ok=True)
        write(directory, ranks_file)
    except (Unavailable, OSError, zipfile.BadZipFile) as problem:
        print(f"no Qwen2.5 vocabulary in {directory}: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
