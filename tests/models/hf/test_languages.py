"""Languages by any name, held against the codes that transformers' own tokenizers know."""

from __future__ import annotations

import pytest
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES as M2M_100
from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as MBART50
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB
from transformers.models.whisper.tokenization_whisper import LANGUAGES as NAMES

from attn_cli.errors import UsageError
from attn_cli.models.hf.languages import TABLE, choose, name_of, same_language


def test_the_table_is_one() -> None:
    rows = [entry.split("=") for entry in TABLE.split()]
    for column in (0, 2):
        assert len({row[column] for row in rows}) == len(rows)
    individual = [code for short, codes, _ in rows for code in codes.split(",") if short != "nb"]
    assert len(set(individual)) == len(individual)  # but for Norwegian, which is Bokmål where nothing is said
    assert all(len(code) == 3 for code in individual)


@pytest.mark.parametrize("code", sorted({*M2M_100["m2m100"], *(code[:2] for code in MBART50)}))
def test_every_short_code_has_a_name_and_finds_itself(code: str) -> None:
    name = name_of(code)
    assert name is not None
    known = NAMES.get(code)
    others = {"my": "burmese", "ht": "haitian", "jv": "javanese"}
    assert known is None or name.lower() == others.get(code, known)
    assert same_language(name, code)
    if code in M2M_100["m2m100"]:
        assert choose(name, M2M_100["m2m100"], "m2m") == code


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("en", "eng_Latn"),
        ("English", "eng_Latn"),
        ("en-GB", "eng_Latn"),
        ("eng", "eng_Latn"),
        ("ENG_LATN", "eng_Latn"),
        ("ar", "arb_Arab"),
        ("fa", "pes_Arab"),
        ("no", "nob_Latn"),
        ("nn", "nno_Latn"),
        ("zh", "zho_Hans"),
        ("zho_Hant", "zho_Hant"),
        ("yue", "yue_Hant"),
        ("sw", "swh_Latn"),
        ("bho", "bho_Deva"),
        ("lv", "lvs_Latn"),
    ],
)
def test_codes_of_nllb(wanted: str, code: str) -> None:
    assert choose(wanted, NLLB, "nllb") == code


def test_codes_of_mbart() -> None:
    assert [choose(one, MBART50, "mbart") for one in ("en", "fr", "zh", "pt", "fas")] == [
        "en_XX",
        "fr_XX",
        "zh_CN",
        "pt_XX",
        "fa_IR",
    ]


@pytest.mark.parametrize("wanted", ["", "xx", "e", "klingon", "Eng lish", "fr" * 50])
def test_languages_that_are_none(wanted: str) -> None:
    with pytest.raises(UsageError, match="does not know the language"):
        choose(wanted, MBART50, "mbart")
