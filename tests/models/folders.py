"""Small model folders, made here: real tokenizers trained on a few sentences, and random weights."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attn_cli.data.stream import Block, Kind, Request, Source
from attn_cli.models import LoadOptions, load
from attn_cli.models.hf.loading import quiet
from attn_cli.models.hf.model import Pretrained

SENTENCES = (
    "The trophy didn't fit in the suitcase because it was too big.",
    "An old man reads an éclair recipe, naïvely, in a café; 42 people laugh!",
    "Attention is all you need, said the committee (which was wrong).",
    "Le chat s'est assis sur le tapis parce qu'il était fatigué.",
    "Where there is a will, there is a way: keep reading, keep writing.",
) * 7

TEXTS = (
    "The trophy didn't fit in the suitcase because it was too big",
    "  naïve   café 😀, 42!  ",
    "unseenword X",
    "Le chat — parce qu'il était…",
)


def wordpiece() -> PreTrainedTokenizerBase:
    """BERT's way: greedy longest pieces, `##` inside words."""
    letters = sorted(set("".join(SENTENCES).lower()) - {" "})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary += ["the", "trophy", "did", "suit", "##case", "because", "it", "was", "too", "big"]
    return transformers.BertTokenizer(vocab={piece: id_ for id_, piece in enumerate(vocabulary)})


def _trained(tokenizer: Tokenizer, trainer: Any) -> dict[str, Any]:
    tokenizer.train_from_iterator(SENTENCES, trainer)
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


def _byte_level(special: list[str]) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=337,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _trained(tokenizer, trainer)


def _pairs(made: dict[str, Any]) -> Any:
    return [tuple(pair) for pair in made["merges"]]


def byte_level() -> PreTrainedTokenizerBase:
    """GPT-2's way: pairs of bytes, no special tokens around the text."""
    made = _byte_level(["<|endoftext|>"])
    return transformers.GPT2Tokenizer(vocab=made["vocab"], merges=_pairs(made))


def roberta() -> PreTrainedTokenizerBase:
    """RoBERTa's and BART's way: pairs of bytes between `<s>` and `</s>`, and two `</s>` between segments."""
    made = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return transformers.RobertaTokenizer(vocab=made["vocab"], merges=_pairs(made))


def layoutlmv3() -> PreTrainedTokenizerBase:
    """LayoutLMv3's way: words with their places on a page, in RoBERTa's pieces."""
    made = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return transformers.LayoutLMv3Tokenizer(vocab=made["vocab"], merges=_pairs(made))


def _unigram(special: list[str]) -> list[tuple[str, float]]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    settings: dict[str, Any] = {
        "vocab_size": 211,
        "special_tokens": special,
        "unk_token": "<unk>",
        "show_progress": False,
    }
    return [(piece, score) for piece, score in _trained(tokenizer, trainers.UnigramTrainer(**settings))["vocab"]]


def t5() -> PreTrainedTokenizerBase:
    """T5's way: a unigram model of SentencePiece, and `</s>` at the end."""
    return transformers.T5Tokenizer(vocab=_unigram(["<pad>", "</s>", "<unk>"]), extra_ids=0)


def xlm_roberta() -> PreTrainedTokenizerBase:
    """XLM-RoBERTa's way: a unigram model between `<s>` and `</s>`."""
    return transformers.XLMRobertaTokenizer(vocab=_unigram(["<s>", "<pad>", "</s>", "<unk>"]))


def mbart() -> PreTrainedTokenizerBase:
    """mBART's way: the languages' names are tokens at the end."""
    return transformers.MBartTokenizer(
        vocab=_unigram(["<s>", "<pad>", "</s>", "<unk>"]), src_lang="en_XX", tgt_lang="fr_XX"
    )


def llama() -> PreTrainedTokenizerBase:
    """Llama's way: pairs of characters, letters that are not there as bytes, and `<s>` at the start."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made = _trained(tokenizer, trainers.BpeTrainer(vocab_size=401, special_tokens=special, show_progress=False))
    return transformers.LlamaTokenizer(vocab=made["vocab"], merges=_pairs(made), add_bos_token=True)


def marian(folder: Path) -> PreTrainedTokenizerBase:
    """Marian's way: SentencePiece itself, one model for each side, written in Python and without offsets."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces: dict[str, int] = {"</s>": 0, "<unk>": 1}
    for side, sentences in (("source", SENTENCES[:3]), ("target", SENTENCES[3:])):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=model, vocab_size=73, hard_vocab_limit=False, minloglevel=2
        )
        (folder / f"{side}.spm").write_bytes(model.getvalue())
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        for id_ in range(processor.get_piece_size()):
            pieces.setdefault(processor.id_to_piece(id_), len(pieces))
    pieces["<pad>"] = len(pieces)
    (folder / "vocab.json").write_text(json.dumps(pieces), encoding="utf-8")
    paths: list[Any] = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
        return transformers.MarianTokenizer(*paths)


def rocbert(folder: Path) -> PreTrainedTokenizerBase:
    """RoCBert's way: each piece has a shape and a pronunciation besides; written in Python and without offsets."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我喜欢自然语言处理", "the", "cat", "##s", "sat"]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    for name, factor in (("word_shape.json", 7), ("word_pronunciation.json", 5)):
        numbers = {piece: (factor * id_ + 3) % 23 for id_, piece in enumerate(pieces)}
        (folder / name).write_text(json.dumps(numbers), encoding="utf-8")
    paths: list[Any] = [str(folder / name) for name in ("vocab.txt", "word_shape.json", "word_pronunciation.json")]
    make: Any = transformers.RoCBertTokenizer
    tokenizer: PreTrainedTokenizerBase = make(*paths)
    return tokenizer


def canine() -> PreTrainedTokenizerBase:
    """CANINE's way: each letter is a token; written in Python and without offsets."""
    make: Any = transformers.CanineTokenizer
    tokenizer: PreTrainedTokenizerBase = make()
    return tokenizer


def markuplm() -> PreTrainedTokenizerBase:
    """MarkupLM's way: takes words, and says in which element of a page each piece stands."""
    made = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tags = {"html": 0, "body": 1, "document": 2, "node": 3}
    return transformers.MarkupLMTokenizer(tags_dict=tags, vocab=made["vocab"], merges=_pairs(made))


def made(family: str, part: str = "Model", /, **settings: Any) -> Any:
    """A random model of a family: `made("Bert", "ForMaskedLM", hidden_size=24)`."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    return getattr(transformers, f"{family}{part}")(config).eval()


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Path:
    """Write a model's folder."""
    with quiet():  # a progress bar would be taken for what the command under test has to say
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


BERT: dict[str, Any] = {
    "vocab_size": 113,
    "hidden_size": 3 * 8,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}


def bert(folder: Path, part: str = "Model", **changes: Any) -> Path:
    """A random BERT, whose every dimension is another prime (times its heads), and its tokenizer."""
    return save(folder, made("Bert", part, **(BERT | changes)), wordpiece())


def edit(folder: Path, **changes: Any) -> None:
    """Change what a folder's config.json says."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def opened(name: str | Path, **options: Any) -> Pretrained:
    """A folder's model, as attn loads it."""
    model = load(str(name), LoadOptions(**options))
    assert isinstance(model, Pretrained)
    return model


def everything(source: Source) -> dict[tuple[Kind, int], list[Block]]:
    """Every block of every head, by place."""
    heads = {
        kind: {layer: tuple(range(count)) for layer, count in stack.heads.items()}
        for kind, stack in source.model.stacks.items()
        if source.target is not None or kind == "encoder" or "cross" not in source.model.stacks
    }
    found: dict[tuple[Kind, int], list[Block]] = {}
    source.stream(Request(heads), lambda block: found.setdefault((block.kind, block.layer), []).append(block))
    return found
