#!/usr/bin/env python3
"""Makes data/tokenizers.json: the ids that Hugging Face tokenizers gives texts with each pre-tokenizer that GGUF files name.

    make_tokenizers.py

One small vocabulary serves all. Its merges join digits, so that it shows which digits stay together; a few tokens are there that no merge
leads to, and two bytes have no token. Needs tokenizers 0.23.3.
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
HERE = pathlib.Path(__file__).resolve().parent
MERGES = 300
MISSING = ["\u0113", "\u00f1"]  # how the vocabulary would write the bytes 0x13 and 0xF1
SPECIAL = ["<|begin_of_text|>", "<|eot_id|>", "<|im_end|>"]
RANDOM_TEXTS = 150

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level(False)])


PRETOKENIZERS = {
    "qwen2": split(QWEN2),
    "gpt-2": byte_level(True),
    "llama-bpe": split(LLAMA3),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)]),
}
CORPUS = [
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox doesn't. I'll say it again: the fox, the dog!\n",
    "1234567 12345 1234 123 12 100 200 300 2024 2025 1600 1850 3.14159 1,000,000 0.5 1.5 2.5 10:30 12:45\n" * 3,
    "if (x == 2) {\n    return \"two\";\n}\n\n\tfor (int i = 0; i < 10; ++i) {\n\t\tsum += i;\n\t}\r\n\r\n",
    "We've they'RE I'M you'd it's don't WE'LL he'S\n",
    "Füchse überqueren Straßen. Le renard était là, près de la forêt. Лиса и собака спят. 여우와 개가 잔다. 狐狸跳过懒狗。\n",
]
TEXTS = [
    "", " ", "    ", "\n", "\n\n \n", "\r\n\r\n", "\t\tif x:\r\n", "Hello, world!", " Hello  world ", "12345678901", "a1b22c333d4444", "x 2024 y", "½ ② ٣٤٥ ᛮ",
    "We've I'LL don't he'S 'tis it'ſ", "'''```\"\"\"...!!!", "  x", "x  \n  y", "caf\u00e9 cafe\u0301", "a\u00a0b\u3000c\u2028d\u0085e",
    "<|begin_of_text|>Hi<|eot_id|>\n<|im_end|> <|im_end", "a\x13b", "the\x13 \U00040000fox\U00040000", "\U0001f98a\U0001f436!", "여우와 狐狸 лиса", "\U0002ebf0'Ll \U00010d40",
]


def main():
    chance = random.Random(1)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = PRETOKENIZERS["gpt-2"]
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                            show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokens = [token for token in sorted(model["vocab"], key=model["vocab"].get) if token not in MISSING] + SPECIAL
    # without these merges some tokens cannot be made, and what ignores merges finds them all the same
    dropped = set(chance.sample(range(MERGES // 2, len(model["merges"])), 20))
    merges = [merge for i, merge in enumerate(model["merges"]) if i not in dropped]

    texts = list(TEXTS)
    for _ in range(RANDOM_TEXTS):
        parts = []
        for _ in range(chance.randrange(1, 8)):
            source = chance.choice(CORPUS + TEXTS)
            begin = chance.randrange(len(source) + 1)
            parts.append(source[begin:begin + chance.randrange(12)])
        texts.append("".join(parts))

    ids = {}
    for name, pretokenizer in PRETOKENIZERS.items():
        vocabulary = {token: id for id, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocabulary, [tuple(merge) for merge in merges], ignore_merges=name == "llama-bpe"))
        tokenizer.pre_tokenizer = pretokenizer
        tokenizer.decoder = decoders.ByteLevel()
        if name == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
        ids[name] = [tokenizer.encode(text).ids for text in texts]

    def lines(values):
        return "[\n" + ",\n".join(json.dumps(value, ensure_ascii=True, separators=(",", ":")) for value in values) + "]"

    parts = {"tokens": json.dumps(tokens), "merges": json.dumps([" ".join(merge) for merge in merges]), "special": json.dumps(SPECIAL),
             "texts": lines(texts), "ids": "{" + ",\n".join(f'"{name}": {lines(values)}' for name, values in ids.items()) + "}"}
    text = "{" + ",\n".join(f'"{name}": {value}' for name, value in parts.items()) + "}\n"
    json.loads(text)
    (HERE / "data/tokenizers.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
