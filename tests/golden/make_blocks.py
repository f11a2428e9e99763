"""Makes data/blocks.safetensors: rows of floats, the blocks that gguf-py makes of them, and what it reads from blocks of random bytes.

    pip install -r requirements_blocks.txt && python make_blocks.py

For each format F: `F.quantized` are the bytes of the rows of `rows` (not for the K formats, which gguf-py only reads); `F.blocks` are
bytes, and `F.elements` the floats that they stand for.
"""
import importlib.metadata
import json
import pathlib
import struct

import gguf
import numpy as np

PINNED = {"gguf": "0.19.0", "numpy": "2.4.6"}
FORMATS = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"]
BLOCKS = 8  # of random bytes


def rows_of_floats(random):
    rows = [random.normal(0, 0.02, 256), random.normal(0, 1, 256), random.uniform(-3, 3, 256), random.standard_t(2, 256)]
    rows.append(random.integers(-8, 9, 256) / 8)  # ties, in rounding and for the largest magnitude
    rows.append(random.integers(-15, 16, 256) * 0.5)
    rows.append(random.normal(0, 1e-6, 256))  # scales that are subnormal in f16
    rows.append(random.uniform(1, 2, 256))  # of one sign
    rows.append(-random.uniform(1, 2, 256))
    spikes = np.where(random.uniform(size=256) < 0.05, random.normal(0, 100, 256), 0)
    spikes[:64] = 0
    rows.append(spikes)  # and two blocks of nothing
    rows.append(np.full(256, -0.3))
    rows.append(random.normal(0, 20000, 256).clip(-65504, 65504))
    return np.array(rows, dtype=np.float32)


def random_blocks(random, kind):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for at in {"q6_k": [208], "q8_0": [0], "q4_0": [0], "q5_0": [0]}.get(kind.name.lower(), [0, 2]):
        scale = random.normal(0, 0.01, BLOCKS).astype(np.float16)
        scale[0] = 0
        scale[1] = 5.96e-8  # the smallest
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def write_safetensors(path, tensors):
    types = {np.dtype(np.float32): "F32", np.dtype(np.uint8): "U8"}
    header, data = {}, b""
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        array = np.ascontiguousarray(array)
        header[name] = {"dtype": types[array.dtype], "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    for package, version in PINNED.items():
        assert importlib.metadata.version(package) == version, f"expected {package} {version}"
    random = np.random.default_rng(20)
    rows = rows_of_floats(random)
    tensors = {"rows": rows}
    for name in FORMATS:
        kind = gguf.GGMLQuantizationType[name.upper()]
        if not name.endswith("_k"):
            tensors[f"{name}.quantized"] = gguf.quants.quantize(rows, kind)
        blocks = random_blocks(random, kind)
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.elements"] = gguf.quants.dequantize(blocks, kind)
    write_safetensors(pathlib.Path(__file__).resolve().parent / "data" / "blocks.safetensors", tensors)


if __name__ == "__main__":
    main()
