"""The filter language of docs/guides/filters.md, written again in Python from its text: the oracle of test_filters.py."""

import datetime
import re

_DATE = re.compile(r"^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?$")
MISSING = object()


def lookup(metadata, path):
    """Values that a dotted path reaches: fields of objects, through one level of arrays, and keys that contain dots."""

    def walk(value, keys, out):
        if not keys:
            out.append(value)
            return
        if isinstance(value, list):
            for element in value:
                if isinstance(element, dict):
                    walk(element, keys, out)
            return
        if isinstance(value, dict):
            for n in range(1, len(keys) + 1):
                name = ".".join(keys[:n])
                if name in value:
                    walk(value[name], keys[n:], out)

    found = []
    walk(metadata, path.split("."), found)
    return found


def elements(values):
    """What conditions look at: the value itself, or the elements of an array (one level)."""
    for v in values:
        if isinstance(v, list):
            yield from v
        else:
            yield v


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def moment(text):
    """Nanosecond-free moment of a date text, or None."""
    if not isinstance(text, str) or not _DATE.match(text):
        return None
    try:
        d = datetime.datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    return d if d.tzinfo else d.replace(tzinfo=datetime.timezone.utc)


def equal(a, b):
    if is_number(a) and is_number(b):
        return a == b
    return type(a) is type(b) and a == b and not isinstance(a, (dict, list))


def compare(a, b, op):
    if is_number(a) and is_number(b):
        pass
    elif isinstance(a, str) and isinstance(b, str):
        ma, mb = moment(a), moment(b)
        a, b = (ma, mb) if ma is not None and mb is not None else (a.encode(), b.encode())
    else:
        return False
    return {"$gt": a > b, "$gte": a >= b, "$lt": a < b, "$lte": a <= b}[op]


def condition(values, op, want):
    if op == "$exists":
        return (len(values) > 0) == want
    if op == "$not":
        return not conditions(values, want)
    if op in ("$ne", "$nin"):
        return not condition(values, {"$ne": "$eq", "$nin": "$in"}[op], want)
    if op == "$in":
        return any(condition(values, "$eq", w) for w in want)
    if op == "$eq":
        if want is None:
            return not values or any(v is None for v in elements(values))
        return any(equal(v, want) for v in elements(values))
    return any(compare(v, want, op) for v in elements(values))


def conditions(values, want):
    if isinstance(want, dict):
        return all(condition(values, op, w) for op, w in want.items())
    return condition(values, "$in" if isinstance(want, list) else "$eq", want)


def matches(metadata, query):
    """Whether a record with this metadata passes the filter."""
    for key, want in query.items():
        if key == "$and":
            ok = all(matches(metadata, q) for q in want)
        elif key == "$or":
            ok = any(matches(metadata, q) for q in want)
        elif key == "$nor":
            ok = not any(matches(metadata, q) for q in want)
        elif key == "$not":
            ok = not matches(metadata, want)
        else:
            path = key[len("metadata.") :] if key.startswith("metadata.") else key
            ok = conditions(lookup(metadata, path), want)
        if not ok:
            return False
    return True
