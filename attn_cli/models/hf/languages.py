"""Languages as users name them (`fr`, `fra`, `French`), and in the form that each family of models expects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from attn_cli.errors import ModelError, UsageError
from attn_cli.models import Languages

__all__ = ["Told", "choose", "name_of", "same_language", "tell"]

TABLE = """
af=afr=Afrikaans ak=aka=Akan am=amh=Amharic ar=arb,ara=Arabic as=asm=Assamese ast=ast=Asturian ay=ayr,aym=Aymara
az=azj,aze=Azerbaijani ba=bak=Bashkir be=bel=Belarusian bg=bul=Bulgarian bm=bam=Bambara bn=ben=Bengali bo=bod=Tibetan
br=bre=Breton bs=bos=Bosnian ca=cat=Catalan ceb=ceb=Cebuano cs=ces=Czech cy=cym=Welsh da=dan=Danish de=deu=German
dz=dzo=Dzongkha ee=ewe=Ewe el=ell=Greek en=eng=English eo=epo=Esperanto es=spa=Spanish et=est,ekk=Estonian
eu=eus=Basque fa=pes,fas=Persian ff=fuv,ful=Fulah fi=fin=Finnish fj=fij=Fijian fo=fao=Faroese fr=fra=French
fy=fry=Frisian ga=gle=Irish gd=gla=Gaelic gl=glg=Galician gn=grn=Guarani gu=guj=Gujarati ha=hau=Hausa he=heb=Hebrew
hi=hin=Hindi hr=hrv=Croatian ht=hat=Haitian hu=hun=Hungarian hy=hye=Armenian id=ind=Indonesian ig=ibo=Igbo
ilo=ilo=Ilocano is=isl=Icelandic it=ita=Italian ja=jpn=Japanese jv=jav=Javanese ka=kat=Georgian kg=kon=Kongo
ki=kik=Kikuyu kk=kaz=Kazakh km=khm=Khmer kn=kan=Kannada ko=kor=Korean kr=knc,kau=Kanuri ks=kas=Kashmiri
ku=kmr,kur=Kurdish ky=kir=Kyrgyz la=lat=Latin lb=ltz=Luxembourgish lg=lug=Ganda li=lim=Limburgish ln=lin=Lingala
lo=lao=Lao lt=lit=Lithuanian lv=lvs,lav=Latvian mg=plt,mlg=Malagasy mi=mri=Maori mk=mkd=Macedonian ml=mal=Malayalam
mn=khk,mon=Mongolian mr=mar=Marathi ms=zsm,msa=Malay mt=mlt=Maltese my=mya=Burmese nb=nob=Bokmål ne=npi,nep=Nepali
nl=nld=Dutch nn=nno=Nynorsk no=nob,nor=Norwegian ns=nso=Sepedi ny=nya=Chichewa oc=oci=Occitan om=gaz,orm=Oromo
or=ory,ori=Odia pa=pan=Punjabi pl=pol=Polish ps=pbt,pus=Pashto pt=por=Portuguese qu=quy,que=Quechua rn=run=Rundi
ro=ron=Romanian ru=rus=Russian rw=kin=Kinyarwanda sa=san=Sanskrit sc=srd=Sardinian sd=snd=Sindhi sg=sag=Sango
si=sin=Sinhala sk=slk=Slovak sl=slv=Slovenian sm=smo=Samoan sn=sna=Shona so=som=Somali sq=als,sqi=Albanian
sr=srp=Serbian ss=ssw=Swati st=sot=Sotho su=sun=Sundanese sv=swe=Swedish sw=swh,swa=Swahili ta=tam=Tamil te=tel=Telugu
tg=tgk=Tajik th=tha=Thai ti=tir=Tigrinya tk=tuk=Turkmen tl=tgl=Tagalog tn=tsn=Tswana tr=tur=Turkish ts=tso=Tsonga
tt=tat=Tatar tw=twi=Twi ug=uig=Uyghur uk=ukr=Ukrainian ur=urd=Urdu uz=uzn,uzb=Uzbek vi=vie=Vietnamese wo=wol=Wolof
xh=xho=Xhosa yi=ydd,yid=Yiddish yo=yor=Yoruba zh=zho,cmn=Chinese zu=zul=Zulu
"""
"""ISO 639-1 code, ISO 639-3 codes (for a macrolanguage, first the one that models mean), English name."""


@cache
def _known() -> Mapping[str, tuple[tuple[str, ...], str]]:
    """Parse the table: ISO 639-1 code -> (ISO 639-3 codes, English name)."""
    rows = (entry.split("=") for entry in TABLE.split())
    return {short: (tuple(codes.split(",")), name) for short, codes, name in rows}


@cache
def _codes(language: str) -> frozenset[str]:
    """Return all codes of a language, given by any of its names: `en`, `eng`, `eng_Latn`, `en-GB` or `English`."""
    first = re.split("[_-]", language.strip())[0].lower()
    for short, (codes, name) in _known().items():
        if first in (short, name.lower()):
            return frozenset((short, *codes))
    return frozenset([first])


def same_language(one: str, other: str) -> bool:
    """Return whether two names or codes mean the same language, scripts and countries aside."""
    return not _codes(one).isdisjoint(_codes(other))


def name_of(language: str) -> str | None:
    """Return a language's English name; None where it is not known."""
    codes = _codes(language)
    return next((name for short, (_, name) in _known().items() if short in codes), None) or next(
        (name for known, name in _known().values() if not codes.isdisjoint(known)), None
    )


def choose(wanted: str, codes: Sequence[str], model: str) -> str:
    """Choose the model's own code of a language.

    Args:
        wanted: the language, as the user named it.
        codes: codes that the model knows; of several for one language (scripts, countries), the first is taken.
        model: the model's name, for the message.

    Raises:
        UsageError: the model has no code for this language; its codes are listed.
    """
    exact = [code for code in codes if code.lower() == wanted.strip().lower()]
    found = exact or [code for code in codes if same_language(code, wanted)]
    if not found:
        raise UsageError(f"{model} does not know the language {wanted}", f"It knows {', '.join(codes)}")
    return found[0]


@dataclass(frozen=True)
class Told:
    """Settings that make a model translate from one language to another."""

    prefix: str = ""
    """Text to put before the source text."""
    first: int | None = None
    """Id of the token that the decoder must write first."""
    start: int | None = None
    """Id of the decoder's start token, where it depends on the language."""
    notes: tuple[str, ...] = ()


def tell(
    tokenizer: Any,
    config: Any,
    generation: Any,
    name: str,
    languages: Languages,
    *,
    texts: Sequence[str] | None = None,
    forced: bool = False,
) -> Told:
    """Work out a model's language settings, and set the languages of its tokenizer.

    Args:
        tokenizer: the tokenizer of a transformers model; its `src_lang` and `tgt_lang` are set, where it has them.
        config: the model's config.
        generation: the model's `generation_config`; None where it cannot generate.
        name: the model's name, for messages.
        languages: source and target language.
        texts: texts to translate; None where no translation is asked for, so that no language need be named.
        forced: true if the decoder's output is given as a text, so that its language must be known.

    Raises:
        UsageError: the model does not know a language, or needs one that is not named.
    """
    if hasattr(tokenizer, "set_src_lang_special_tokens"):
        needed = texts is not None
        return _tell_by_token(
            tokenizer, config, generation, name, languages, source_needed=needed, target_needed=needed or forced
        )
    if getattr(tokenizer, "supported_language_codes", None):
        return _tell_marian(tokenizer, name, languages, texts)
    if config.model_type in {"t5", "mt5", "umt5", "longt5"}:
        return _tell_t5(tokenizer, config, name, languages, texts)
    for wanted, known in (
        (languages.source, getattr(tokenizer, "source_lang", None)),
        (languages.target, getattr(tokenizer, "target_lang", None)),
    ):
        if wanted is None:
            continue
        if known is None:
            raise UsageError(f"{name} takes no languages: it knows one pair, or none", "Leave --from and --to out")
        # Codes such as `mul` or `roa` are groups, and any language may belong to them.
        if name_of(known) is not None and not same_language(wanted, known):
            pair = f"{tokenizer.source_lang} to {tokenizer.target_lang}"
            raise UsageError(
                f"{name} does not know the language {wanted}: it translates {pair}", "Choose another model"
            )
    return Told()


LANGUAGE_TOKEN = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")
"""Language tokens of mBART (`en_XX`) and NLLB (`eng_Latn`); M2M100 keeps a table."""


def _tell_by_token(
    tokenizer: Any,
    config: Any,
    generation: Any,
    name: str,
    languages: Languages,
    *,
    source_needed: bool,
    target_needed: bool,
) -> Told:
    """Set up mBART, M2M100 or NLLB, which have a token for each language, on either side."""
    ids: Mapping[str, int] = getattr(tokenizer, "lang_code_to_id", {})
    spelled = [str(token) for token in tokenizer.all_special_tokens if LANGUAGE_TOKEN.fullmatch(str(token))]
    ids = dict(ids) or {code: tokenizer.convert_tokens_to_ids(code) for code in spelled}
    ids = {code: id_ for code, id_ in ids.items() if id_ not in (None, tokenizer.unk_token_id)}
    begins = (config.decoder_start_token_id, getattr(generation, "forced_bos_token_id", None))
    own = tokenizer.init_kwargs
    source = own.get("src_lang")
    target = own.get("tgt_lang") or next((code for code, id_ in ids.items() if id_ in begins), None)
    if languages.source is not None:
        source = choose(languages.source, list(ids), name)
    if languages.target is not None:
        target = choose(languages.target, list(ids), name)
    missing = [
        option
        for option, code, needed in (("--from", source, source_needed), ("--to", target, target_needed))
        if needed and code is None
    ]
    if missing:
        raise UsageError(
            f"{name} translates between {len(ids)} languages and must be told which",
            f"Add {' and '.join(missing)}, as in --from en --to fr; it knows {', '.join(ids)}",
        )
    # A tokenizer keeps its last languages, so they are set anew each time; the default source is English.
    tokenizer.src_lang = source or next((code for code in ids if same_language(code, "en")), tokenizer.src_lang)
    tokenizer.tgt_lang = target
    if target is None:
        return Told()
    # The first mBART has the language token behind the text and starts its decoder from it (Liu et al. 2020); the
    # others start from the end token and write the language token first.
    if config.model_type == "mbart" and type(tokenizer).__name__ == "MBartTokenizer":
        return Told(start=ids[target])
    return Told(first=ids[target])


def _tell_marian(tokenizer: Any, name: str, languages: Languages, texts: Sequence[str] | None) -> Told:
    """Set up a Marian model with several target languages: `>>fra<<` before the text."""
    spelled = {code.strip("<>"): code for code in tokenizer.supported_language_codes}
    if languages.target is not None:
        return Told(prefix=spelled[choose(languages.target, list(spelled), name)] + " ")
    if texts is not None and not all(text.lstrip().startswith(tuple(spelled.values())) for text in texts):
        raise UsageError(
            f"{name} translates into {len(spelled)} languages and must be told which",
            f"Add --to, as in --to {next(iter(spelled))}; it knows {', '.join(spelled)}",
        )
    return Told()


TASK = re.compile(r"translation_([a-z]+)_to_([a-z]+)")


def _tell_t5(tokenizer: Any, config: Any, name: str, languages: Languages, texts: Sequence[str] | None) -> Told:
    """Set up T5 or mT5: the task in words before the text; MADLAD's T5 has a token for each target language."""
    tasks: Any = getattr(config, "task_specific_params", None) or {}
    if not isinstance(tasks, Mapping) or not all(isinstance(task, Mapping) for task in tasks.values()):
        raise ModelError(
            f"config.json of {name}: task_specific_params must be an object of objects", "Take it out, or copy it again"
        )
    prefixes = tuple(str(task["prefix"]) for task in tasks.values() if task.get("prefix"))
    pairs = {
        (found[1], found[2]): str(task.get("prefix", ""))
        for key, task in tasks.items()
        if (found := TASK.fullmatch(key))
    }
    into = {token[2:-1]: token for token in tokenizer.get_vocab() if re.fullmatch(r"<2[A-Za-z_]+>", token)}
    wanted = (languages.source, languages.target)
    if into:
        if languages.target is not None:
            return Told(prefix=into[choose(languages.target, sorted(into), name)] + " ")
        if texts is not None and not all(text.startswith("<2") for text in texts):
            raise UsageError(
                f"{name} translates into {len(into)} languages and must be told which",
                f"Add --to, as in --to fr; it knows {', '.join(sorted(into))}",
            )
        return Told()
    if wanted == (None, None):
        if texts is None or (prefixes and all(text.startswith(prefixes) for text in texts)):
            return Told()
        if pairs:
            raise UsageError(
                f"{name} does many things and must be told to translate", f"Add --from and --to: {_listed(pairs)}"
            )
        return Told(
            notes=("No task was put before the text; --from en --to fr would put 'translate English to French:' there",)
        )
    if pairs:
        fitting = [
            prefix
            for pair, prefix in pairs.items()
            if all(one is None or same_language(one, known) for one, known in zip(wanted, pair, strict=True))
        ]
        if len(fitting) != 1:
            asked = " to ".join(one or "any language" for one in wanted)
            problem = f"{name} was not trained on {asked}" if not fitting else f"{asked} fits several pairs of {name}"
            raise UsageError(problem, f"It knows {_listed(pairs)}")
        return Told(prefix=fitting[0])
    if None in wanted:
        raise UsageError(f"{name} must be told both languages", "Add --from and --to, as in --from en --to fr")
    names = [name_of(one) for one in wanted if one is not None]
    for one, found_name in zip(wanted, names, strict=True):
        if found_name is None:
            raise UsageError(f"There is no language {one}", f"The known ones are {', '.join(_known())}")
    return Told(prefix=f"translate {names[0]} to {names[1]}: ")


def _listed(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{source} to {target}" for source, target in pairs)
