"""What the name of a column says about its role, in a few languages."""

from __future__ import annotations

import re

# The likeliest first. Without _, capitals and spaces; also compared without a last "id", "number", "key" and so on.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *(
            "timestamp",
            "eventtime",
            "eventtimestamp",
            "ts",
            "time",
            "datetime",
            "createdat",
            "occurredat",
            "servertime",
        ),
        *("unixtime", "epoch", "clicktime", "zeitstempel", "zeitpunkt", "zeit", "horodatage", "fecha", "eventdate"),
        *("date", "datum", "day", "created", "updatedat"),
    ),
    "event_id": (
        *(
            "eventid",
            "step",
            "seq",
            "sequence",
            "sequencenumber",
            "eventnumber",
            "hitnumber",
            "logid",
            "rowid",
            "hitid",
        ),
        *("messageid", "ereignisid", "ereignisnr", "laufnummer"),
    ),
    "session": (
        *("session", "usersession", "sessionid", "sid", "visit", "visitid", "sitzung", "sitzungs", "besuch", "sesion"),
        *("sessionkey", "sessionhash"),
    ),
    "user": (
        *("user", "userid", "uid", "visitor", "fullvisitor", "customer", "client", "member", "account", "buyer"),
        *("shopper", "anonymous", "cookie", "device", "kunde", "kunden", "nutzer", "benutzer", "besucher"),
        *("utilisateur", "usuario", "person", "profile"),
    ),
    "behavior": (
        *("behavior", "behaviour", "behaviortype", "eventtype", "action", "actiontype", "eventname", "event"),
        *("interaction", "interactiontype", "activity", "verb", "operation", "aktion", "ereignis", "ereignistyp"),
        *("kind", "type", "art", "typ"),
    ),
    "dwell": (
        *("dwell", "dwelltime", "dwellseconds", "dwellms", "duration", "timespent", "staytime", "stay", "viewtime"),
        *("readtime", "verweildauer", "dauer"),
    ),
    "interval": ("interval", "gap", "timetonext", "secondstonext"),
    "item": (
        *("item", "itemid", "product", "productid", "sku", "article", "asin", "pid", "aid", "content", "listing"),
        *("artikel", "produkt", "offer", "hotel", "movie", "track", "video", "news", "song", "book", "ad", "post"),
        *("reference", "articulo", "producto", "produit", "goods", "itemcode"),
    ),
    "category": (
        *("categorycode", "categorypath", "category", "categories", "categoryname", "breadcrumb", "breadcrumbs"),
        *("taxonomy", "cat", "department", "subcategory", "kategorie", "warengruppe", "rubrik", "sortiment"),
        *("categoryid", "class", "genre", "section", "producttype", "productcategory", "itemcategory", "categorie"),
    ),
}
_ID_WORDS = {"id", "ids", "nr", "no", "num", "number", "nummer", "key", "hash", "code", "name", "uuid", "guid"}
_NUMBERED = re.compile(
    r"(?:category|categories|categorie|kategorie|cat|warengruppe|level|lvl|ebene|department|class|l|c)"
    r"[ _.-]?(?:level|lvl|ebene|l|id|name|code)?[ _.-]?(\d{1,2})(?:[ _.-]?(?:id|name|code))?",
    re.IGNORECASE,
)


def words_of(name: str) -> list[str]:
    """Split a name at capitals, underscores and the like, in small letters."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word for word in re.split(r"[^0-9a-zà-ÿ]+", parted.casefold()) if word]


def name_fit(name: str, role: str) -> int:
    """Score how well a name fits a role: 0 for not at all, up to 100."""
    words = words_of(name)
    synonyms = SYNONYMS[role]
    stem = list(words)
    while len(stem) > 1 and stem[-1] in _ID_WORDS:
        stem.pop()
    # "Kundennummer" and "visitorid" are one word each.
    bare = re.sub("(nummer|number|nr|id)$", "", "".join(stem))
    for score, word in ((100, "".join(words)), (85, "".join(stem)), (80, bare)):
        if word in synonyms:
            return score - synonyms.index(word) // 3
    places = [synonyms.index(word) for word in words if word in synonyms and len(word) > 2]
    return 45 - min(places) // 3 if places else 0


def category_number(name: str) -> int | None:
    """Give the 2 of ``category_2``, ``cat_l2`` or ``Warengruppe2``."""
    match = _NUMBERED.fullmatch(name)
    return int(match[1]) if match else None
