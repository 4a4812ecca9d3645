"""What a text recommends, as whoever acts on it would read it; no rule is asked.

It errs on the side of finding something: a drug that is named without a warning right before it
counts as recommended. Texts come from the ruleset, so a false alarm shows when they are checked,
and on the first night of a new text, not on some later one.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

_CYANOCOBALAMIN = re.compile(r"\bcyano|\bcn-?cbl\b|\bcytamen\b")
_CYANOCOBALAMIN_WARNED_OF = re.compile(
    r"(?:(?<!not )(?<!to )\bavoid(?:ing)?|\bin place of|\binstead of|\brather than|\bbefore any"
    r"|\bnot(?: (?:give|use|offer|prescribe))?|\breview the product for) cyano\w+"
    r"|\bcyano\w+ (?:should|must|is to) be avoided"
)
_OF_B12 = (
    r"(?:b ?12|cobalamin|injection|treatment|therapy|replacement|maintenance|supplement|regimen"
    r"|course|loading)"
)
_COBALAMIN_RECOMMENDED = re.compile(
    r"(?<!not )\b(?:consider|give|start|begin|add|offer|prescribe|take|use|inject)(?:ing)?"
    r" (?:\w+ (?:or|of|to) )?"
    r"(?:(?:hydroxo|methyl|cyano|adenosyl)?-?cobalamin|b ?12\b(?! level| test))"
)
_STOP = (
    r"(?:stop(?:s|ped|ping)?|discontinu\w+|ceas(?:e|es|ed|ing)|withh[eo]ld\w*|end(?:ed|ing)?"
    r"|halt\w*|paus(?:e|ed|ing)|suspend\w*|withdraw\w*|omit\w*|skip\w*|taper\w*|come off)\b"
)
_NOT_STOPPED = re.compile(
    r"\b(?:(?<!reason )(?<!why )not|never|nor|no reason to|without)(?: (?:be|to))? " + _STOP
)
# Nothing on a list tells to stop a drug; the milder words need B12 in their sentence.
_STOPPED = re.compile(
    r"\b(?:stop|discontinu|ceas(?:e|ing)|withh[eo]ld)"
    rf"|\b{_STOP}.*{_OF_B12}|{_OF_B12}.*\b{_STOP}"
    rf"|\b(?:no (?:further|more|need (?:of|for))|(?:not|never|no longer) (?:be )?"
    rf"(?:giv|continu|resum|restart|start|need)\w*) (?:\S+ ){{0,2}}?\S*{_OF_B12}"
    rf"|{_OF_B12}\S* (?:\S+ ){{0,2}}?(?:not|no longer) (?:need|requir|indicat)"
)
_FOLIC_ACID = re.compile(r"\b(?:folic acid|folinic|methylfolate|folate (?:tablet|supplement))")
_RECOMMENDED = re.compile(
    r"(?<!not )\b(?:consider|give|start|begin|add|offer|prescribe|take|recommend|advise|replace"
    r"|suggest)(?:s|ing)?\b|\d ?(?:mg|µg|μg|ug|mcg|micrograms?)\b"
)
_WITH_B12 = re.compile(
    r"\b(?:only with b12|once b12 is|after b12 is|when b12 is|covering b12 first|b12 first)\b"
)
_DOSE = re.compile(
    r"\d ?(?:mg|µg|μg|ug|mcg|micrograms?|milligrams?)\b|\bim\b|intramuscular|alternate day"
    r"|times (?:a|per) week|\bevery (?:\d|two|three|other)|\bb12 form\b"
)
_SLOW_REGIMEN = re.compile(
    r"\b(?:three|3) ?(?:times|x) (?:a|per|each) week|\bthrice|\b2 ?(?:-|–|to|or) ?3 months"
    r"|\bevery (?:3|three) months|\bevery (?:12|twelve) weeks|\bquarterly"
)
_HOLE = re.compile(r"[{}]|\b(?:null|none|nan)\b|\bon ?[,;)]|\bsince ?[:,;)]|\(\)")
_SENTENCE = re.compile(r"[.?!](?:\s|$)")


@lru_cache(maxsize=20_000)
def recommendations(text: str) -> frozenset[str]:
    """What a text recommends that an interlock looks for; the same text is read once."""
    return frozenset(_recommended(" ".join(text.replace("\u00ad", "").casefold().split())))


def _recommended(text: str) -> Iterator[str]:
    if _CYANOCOBALAMIN.search(_CYANOCOBALAMIN_WARNED_OF.sub("", text)):
        yield "cyanocobalamin"
    if _DOSE.search(text):
        yield "dose"
    if _COBALAMIN_RECOMMENDED.search(text):
        yield "cobalamin"
    if _SLOW_REGIMEN.search(text):
        yield "regimen without neurology"
    if _HOLE.search(text):
        yield "hole"
    for sentence in _SENTENCE.split(text):
        if _STOPPED.search(_NOT_STOPPED.sub("", sentence)):
            yield "stop"
        if (
            _FOLIC_ACID.search(sentence)
            and _RECOMMENDED.search(sentence)
            and not _WITH_B12.search(sentence)
        ):
            yield "folic acid"
