"""What is likely personal: told by the name of a column, else by its values. Rather too much than too little: a draft
is read by somebody, and a mask that is too much is seen, one that is missing is not."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MAX_TEXT = 10_000
"""Characters of a value that are looked at."""
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Personal:
    """The rule for a column, as it is written in the file, and why."""

    rule: str
    why: str

    @property
    def of_birth(self) -> bool:
        """A date that is personal itself."""
        return self.why.endswith(BIRTH)


SECRET, MASK = "REMOVE", "FULL_MASK"
BIRTH = "a date of birth"
EMAIL = "{action: PARTIAL_MASK, style: email}"
PHONE = "{action: PARTIAL_MASK, style: phone}"
CARD = "{action: PARTIAL_MASK, style: card}"
IP = "{action: PARTIAL_MASK, style: ip}"
KEYED = "HASH"
"""For key columns, which no mask may make alike."""

_NAMES: tuple[tuple[str, str, str], ...] = (
    # (words of a name, rule, what it is); the first that fits.
    ("password passwd pwd passphrase secret secrets otp pin cvv cvc credential credentials salt", SECRET, "a secret"),
    ("token tokens jwt apikey api_key private_key access_key session_key cookie", SECRET, "a secret"),
    ("ssn social_security national_id tax_id taxid passport ahv nin drivers_license driver_license", SECRET,
     "an identity number"),
    ("payment_details payment_data", SECRET, "payment data"),
    ("email emails mail e_mail", EMAIL, "an e-mail address"),
    ("phone phones mobile cell cellphone fax telephone tel msisdn caller callee", PHONE, "a phone number"),
    ("ip ip_address ipv4 ipv6 remote_addr client_addr", IP, "an IP address"),
    ("card_number card_no credit_card creditcard card pan", CARD, "a card number"),
    ("iban bic swift bank_account account_number routing_number sort_code", MASK, "a bank account"),
    ("address addr street zip zipcode postcode postal latitude longitude lat lng geo location", MASK, "an address"),
    ("birth birthday birthdate dob born age", MASK, BIRTH),
    ("gender sex religion ethnicity nationality marital disability diagnosis health", MASK, "about a person"),
    ("salary income wage", MASK, "about a person"),
    ("surname firstname lastname fullname givenname familyname username nickname maiden", "PARTIAL_MASK", "a name"),
    ("note notes comment comments message remark remarks body", MASK, "free text, which may hold anything"),
)  # fmt: skip
_THINGS = frozenset({
    "app", "brand", "bucket", "category", "channel", "city", "class", "column", "company", "country", "currency",
    "domain", "event", "field", "file", "group", "host", "key", "model", "org", "organisation", "organization", "plan",
    "pool", "product", "project", "queue", "region", "role", "service", "sku", "stream", "table", "tag", "team",
    "tenant", "topic", "type", "warehouse",
})  # fmt: skip
"""What has a name and is no person."""
_ASIDE = frozenset({
    "at", "confirmed", "count", "enabled", "format", "id", "ids", "on", "status", "type", "verified", "version",
})  # fmt: skip
"""`address_id` and `email_verified` tell about the thing, and do not hold it."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_EMAIL = re.compile(r"[^\s@<>]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_PHONE = re.compile(r"\+[0-9][0-9 ().\-/]{6,20}[0-9]", re.ASCII)
_SSN = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}", re.ASCII)
_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_SECRET = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\$2[aby]\$[0-9]{2}\$.{53}|\$argon2.{20,}|-----BEGIN [A-Z ]+-----.*", re.DOTALL
)


def by_name(name: str, table: str = "") -> Personal | None:
    """What the name of a column says. `table` tells whether a plain `name` is a person's."""
    words = words_of(name)
    for known, rule, what in _NAMES:
        for phrase in known.split():
            parts = phrase.split("_")
            if _stands_in(words, parts) and (words[-1] not in _ASIDE or words[-1] in parts):
                return Personal(rule, f"by its name: {what}")
    things = {*words, *(singular(word) for word in words_of(table))} if words == ["name"] else {*words}
    if words and words[-1] == "name" and not _THINGS.intersection(things):
        return Personal("PARTIAL_MASK", "by its name: perhaps a person's")
    return None


def by_value(value: Any) -> Personal | None:
    """What a value looks like. The answer holds nothing of it (P6)."""
    if isinstance(value, bool | Decimal) or value is None:
        return None
    if isinstance(value, int):
        return Personal(CARD, "by its values: card numbers") if _is_card(str(value)) else None
    if isinstance(value, str):
        text = value[:MAX_TEXT].strip()
        for fits, rule, what in _VALUES:
            if fits(text):
                return Personal(rule, f"by its values: {what}")
        return _of_json(text) if text[:1] in ("{", "[") else _within(text)
    return _nested(value)


def words_of(name: str) -> list[str]:
    """`homeOrgID`, `home_org_id` -> home, org, id."""
    return [word.lower() for word in _WORD.findall(name)]


def singular(name: str) -> str:
    """orders -> order, categories -> category, addresses -> address."""
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ss", "ss")):
        if name.lower().endswith(ending) and len(name) > len(ending) + 1:
            return name[: -len(ending)] + instead
    return name[:-1] if name.lower().endswith("s") and len(name) > 2 else name


def _stands_in(words: list[str], phrase: list[str]) -> bool:
    width = len(phrase)
    return any(words[place : place + width] == phrase for place in range(len(words) - width + 1))


def _is_card(text: str) -> bool:
    if _CARD.fullmatch(text) is None:
        return False
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0 and any(digits)


def _is_iban(text: str) -> bool:
    packed = text.replace(" ", "").upper()
    if _IBAN.fullmatch(packed) is None:
        return False
    return int("".join(str(int(letter, 36)) for letter in packed[4:] + packed[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    if "." not in text and text.count(":") < 2:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_VALUES: tuple[tuple[Callable[[str], object], str, str], ...] = (
    (_SECRET.fullmatch, SECRET, "tokens or hashes of passwords"),
    (_EMAIL.fullmatch, EMAIL, "e-mail addresses"),
    (_SSN.fullmatch, SECRET, "social security numbers"),
    (_PHONE.fullmatch, PHONE, "phone numbers"),
    (_is_ip, IP, "IP addresses"),
    (_is_card, CARD, "card numbers"),
    (_is_iban, MASK, "bank accounts"),
)


def _within(text: str) -> Personal | None:
    found = _EMAIL.search(text) or _PHONE.search(text) or _SSN.search(text)
    return Personal(MASK, "by its values: text with personal data in it") if found else None


def _of_json(text: str) -> Personal | None:
    try:
        return _nested(json.loads(text))
    except (ValueError, RecursionError):
        return _within(text)


def _nested(value: Any) -> Personal | None:
    if any(by_name(name) for name in _keys(value)) or any(by_value(leaf) for leaf in _leaves(value)):
        return Personal(MASK, "by its values: personal data inside of JSON")
    return None


def _keys(value: Any, depth: int = 0) -> Iterable[str]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        yield from (name for name in value if name.isidentifier())
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _keys(item, depth + 1)


def _leaves(value: Any, depth: int = 0) -> Iterable[Any]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item, depth + 1)
    elif isinstance(value, int) or (isinstance(value, str) and value[:1] not in ("{", "[")):
        yield value
