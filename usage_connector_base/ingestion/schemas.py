"""JSON Schemas of payloads: read once, then asked for every event.

A schema is written by an administrator, the data comes from a sender. Nothing that either of them writes may
fetch an address or keep the server busy for long: references stay inside the schema, and what a pattern may
cost is bounded when the schema is saved.
"""

import json
import math
import re

import msgspec
from jsonschema import Draft7Validator, Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.exceptions import ValidationError as Mismatch
from referencing import Registry
from referencing.exceptions import Unresolvable

from .envelope import Refusal, decode

# The parser of Python's own regular expressions, to judge what one may cost.
try:
    from re import _parser as regex
except ImportError:  # Python 3.10
    import sre_parse as regex

MAX_SCHEMA = 64 * 1024  # bytes of a schema
MAX_PATTERN = 200  # characters of one pattern
MAX_MATCHED = 512  # characters of a text that a pattern is tried on; longer ones do not match
MAX_WAYS = 3 * math.log(MAX_MATCHED + 1)  # logarithm of the number of ways in which a pattern may be tried on a text
MAX_SHOWN = 100  # characters of a rule in a message

_DRAFTS = {
    "": Draft202012Validator,
    "https://json-schema.org/draft/2020-12/schema": Draft202012Validator,
    "http://json-schema.org/draft-07/schema": Draft7Validator,
}
_canonical = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class BadSchema(Exception):
    """A text that cannot serve as a schema; its message says where and why."""


def read_schema(text):
    """The check that a schema stands for.

    :param str text: JSON Schema, draft 2020-12 or 7
    :return: function of an event's data to None, or to what is wrong with it and where
    :raises BadSchema: the text is no schema, or one that we do not take

    >>> check = read_schema('{"properties": {"model": {"enum": ["large", "small"]}}}')
    >>> check({"model": "large"}), check({"model": "huge"})
    (None, 'data.model must fulfil {"enum": ["large", "small"]}.')
    """
    schema = _parsed(text)
    draft = _draft(schema)
    try:
        draft.check_schema(schema)
    except SchemaError as exc:
        raise BadSchema(f"{_place('schema', exc.absolute_path)}: {exc.message[:MAX_SHOWN]}") from exc
    validator = draft(schema, registry=Registry())
    for place, part in _parts(schema, "schema"):
        _check_part(validator, place, part)
    return lambda data: _first_error(validator, data)


def _parsed(text):
    if len(text) > MAX_SCHEMA:
        raise BadSchema(f"A schema may take {MAX_SCHEMA // 1024} KiB.")
    try:
        json.loads(text)  # names line and column of what is wrong, as msgspec does not
        schema = decode(text.encode())
    except (ValueError, RecursionError, Refusal) as exc:
        raise BadSchema(f"The schema is no JSON: {exc}.") from exc
    if not isinstance(schema, dict):
        raise BadSchema("The schema must be a JSON object.")
    return schema


def _draft(schema):
    """The validator of the draft in which a schema is written, with keywords of ours where its own are slow."""
    name = schema.get("$schema", "")
    draft = _DRAFTS.get(name.rstrip("#") if isinstance(name, str) else name)
    if not draft:
        raise BadSchema(f"schema.$schema: write {' or '.join(filter(None, _DRAFTS))}, or leave it out.")
    return validators.extend(draft, {"pattern": _pattern, "uniqueItems": _unique_items})


def _pattern(_validator, pattern, instance, _schema):
    """Whether a text matches; one too long to be tried does not."""
    if isinstance(instance, str) and (len(instance) > MAX_MATCHED or not re.search(pattern, instance)):
        yield Mismatch("does not match")


def _unique_items(_validator, unique, instance, _schema):
    """Whether no item comes twice, in one pass where the library compares each with each."""
    if unique and isinstance(instance, list) and len({_canonical.encode(item) for item in instance}) < len(instance):
        yield Mismatch("has the same item twice")


def _first_error(validator, data):
    """What is wrong with data: the place and the rule, and nothing of what the sender wrote there."""
    try:
        error = best_match(validator.iter_errors(data))
    except RecursionError:
        return "data is nested too deeply for the schema."
    if error is None:
        return None
    rule = _canonical.encode({error.validator: error.validator_value}).decode() if error.validator else "false"
    rule = json.dumps(json.loads(rule), ensure_ascii=False)
    if len(rule) > MAX_SHOWN:
        rule = rule[:MAX_SHOWN] + "…"
    return f"{_place('data', error.absolute_path)} must fulfil {rule}."


def _place(root, path):
    """A place in JSON, as names and numbers joined by points.

    >>> _place("data", ["tokens", 0])
    'data.tokens.0'
    """
    return ".".join([root, *(str(step) for step in path)])[:MAX_PATTERN]


# -- what a schema may not hold -------------------------------------------------------------


def _parts(schema, place):
    """Every object inside a schema, with its place."""
    if isinstance(schema, dict):
        yield place, schema
        for name, value in schema.items():
            if name not in ("const", "enum", "default", "examples"):
                yield from _parts(value, f"{place}.{name}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from _parts(value, f"{place}.{number}")


def _check_part(validator, place, part):
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        target = part.get(name)
        if isinstance(target, str):
            _check_reference(validator, f"{place}.{name}", target)
    if isinstance(part.get("$id"), str) and place != "schema":
        raise BadSchema(f"{place}.$id: only the schema as a whole may have one.")
    patterns = [(f"{place}.pattern", part.get("pattern"))]
    if isinstance(part.get("patternProperties"), dict):
        patterns += [(f"{place}.patternProperties", pattern) for pattern in part["patternProperties"]]
    for where, pattern in patterns:
        if isinstance(pattern, str):
            _check_pattern(where, pattern)


def _check_reference(validator, place, target):
    if not target.startswith("#"):
        raise BadSchema(f"{place}: {target[:MAX_SHOWN]} is outside; refer to a part of this schema, such as #/$defs/a.")
    try:
        validator.evolve(schema={"$ref": target}).is_valid({})
    except Unresolvable as exc:
        raise BadSchema(f"{place}: the schema has no {target[:MAX_SHOWN]}.") from exc
    except RecursionError as exc:
        raise BadSchema(f"{place}: {target[:MAX_SHOWN]} refers to itself without end.") from exc


def _check_pattern(place, pattern):
    """Refuse a pattern that may take long to find that a text does not match."""
    if len(pattern) > MAX_PATTERN:
        raise BadSchema(f"{place}: a pattern may take {MAX_PATTERN} characters.")
    try:
        parsed = regex.parse(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise BadSchema(f"{place}: {pattern} is no regular expression: {exc}.") from exc
    ways = _ways(parsed)
    if not parsed or parsed[0] != (regex.AT, regex.AT_BEGINNING):
        ways += math.log(MAX_MATCHED)  # it is tried at every place of a text
    if ways > MAX_WAYS + 1e-9:
        raise BadSchema(
            f"{place}: {pattern} may take too long: begin with ^, use at most three of * and +, and repeat "
            "nothing that has repetitions or alternatives of its own."
        )


def _ways(parsed):
    """Logarithm of the number of ways in which a parsed pattern may match one text, at most."""
    return sum(_ways_of(kind, argument) for kind, argument in parsed)


def _ways_of(kind, argument):
    if kind in (regex.MAX_REPEAT, regex.MIN_REPEAT):
        least, most, repeated = argument
        most = min(int(most), MAX_MATCHED)
        return math.log(max(most - least, 0) + 1) + most * _ways(repeated)
    inner = [_ways(part) for part in _inside(argument)]
    if kind is regex.BRANCH:
        return math.log(len(inner)) + max(inner)
    return sum(inner)


def _inside(argument):
    """The parsed patterns inside what the parser gives for one token."""
    if isinstance(argument, regex.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for part in argument:
            yield from _inside(part)
