"""The JSON Schemas of the sections ``equation``, ``initial`` and ``boundary``.

In these sections users choose the names, so that no class describes them completely.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pdesim.formula.language import AXES, reserved_names
from pdesim.formula.networks import ACTIVATIONS
from pdesim.model.boundary_conditions import (
    KINDS,
    LAPLACIAN,
    OTHERWISE,
    PAIRS,
    SIDES,
    WHERE,
)
from pdesim.model.boundary_settings import build_boundary
from pdesim.model.components import KINDS as FIELD_KINDS
from pdesim.model.equation import Equation
from pdesim.model.equation_settings import (
    KEYS,
    LONGEST_LABEL,
    LONGEST_TEXTS,
    MOST_FIELDS,
    NAME_PATTERN,
)
from pdesim.model.formula_sections import FORMULAS
from pdesim.model.networks import MOST_LAYERS, MOST_NETWORKS, MOST_UNITS
from pdesim.model.noise import INTERPRETATIONS, TERM_KEYS
from pdesim.schema.comments import attributes_of, description_of

Schema = dict[str, Any]

#: an identifier; other alphabets are allowed
IDENTIFIER = "^[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*$"
#: a formula, or a constant
VALUE: Schema = {"type": ["string", "number"]}


def equation_schema() -> Schema:
    """Return the schema of the settings of an equation.

    No key is required, because a file may complete another one.
    """
    about = attributes_of(Equation)
    texts = {
        key: {"type": ["string", "number", "null"], "maxLength": length}
        for key, length in LONGEST_TEXTS.items()
    }
    texts["name"] |= {"pattern": f"^{NAME_PATTERN}$"}
    named = {"type": "string", "pattern": IDENTIFIER, "maxLength": LONGEST_LABEL}
    labels: Schema = {
        "type": ["object", "null"],
        "additionalProperties": {"type": ["string", "integer"], "maxLength": LONGEST_LABEL},
    }
    formulas: Schema = {
        "type": ["object", "null"],
        "propertyNames": {"pattern": IDENTIFIER, "not": {"enum": [*reserved_names("field")]}},
        "additionalProperties": VALUE,
    }
    networks: Schema = {
        "type": ["object", "null"],
        "maxProperties": MOST_NETWORKS,
        "additionalProperties": {
            "type": "object",
            "properties": {
                "layers": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": MOST_LAYERS,
                    "items": {"type": "integer", "minimum": 1, "maximum": MOST_UNITS},
                },
                "activation": {"enum": [*ACTIVATIONS, None]},
                "weights": {"type": ["string", "null"]},
                "seed": {"type": ["integer", "null"], "minimum": 0},
            },
            "required": ["layers"],
            "additionalProperties": False,
        },
    }
    noise: Schema = {
        "type": ["object", "null"],
        "propertyNames": {"pattern": IDENTIFIER},
        "additionalProperties": {"anyOf": [
            VALUE,
            {
                "type": "object",
                "properties": {key: {"type": ["string", "number", "null"]} for key in TERM_KEYS},
                "additionalProperties": False,
            },
        ]},
    }  # fmt: skip
    keys: Schema = {
        **texts,
        "fields": {"anyOf": [
            {"type": ["array", "null"], "items": named, "minItems": 1, "maxItems": MOST_FIELDS,
             "uniqueItems": True},
            {"type": "object", "propertyNames": named, "minProperties": 1,
             "additionalProperties": {"enum": [*FIELD_KINDS]}, "maxProperties": MOST_FIELDS},
        ]},
        "rhs": {**formulas, "description": "du/dt = ...: a formula for each field"},
        "solve": {**formulas, "description": "0 = ...: a formula for each field in it"},
        "map": {**formulas, "description": "u <- ...: a formula for each field, iterated maps"},
        "escape": {"type": ["string", "null"],
                   "description": "the condition under which a cell of a map is not iterated"},
        "smooth": VALUE,
        "networks": {**networks, "description": "name -> a neural network, used as f(u, v)[0]"},
        "noise": {**noise, "description": "field -> the amplitude of its noise"},
        "interpretation": {"enum": [*INTERPRETATIONS, None],
                           "description": "the reading of noise that depends on fields"},
        "scalars": {**formulas, "description": "dT/dt = ...: a formula for each scalar, a number "
                    "beside the fields"},
        "units": labels,
        "labels": labels,
    }  # fmt: skip
    return {
        "description": "The fields, the formulas and the parameters of an equation. Names other "
        f"than {', '.join(KEYS)} are parameters: numbers, or formulas as text.",
        "type": "object",
        "properties": {key: {"description": about.get(key, ""), **keys[key]} for key in KEYS},
        "propertyNames": {"pattern": IDENTIFIER, "not": {"enum": [*reserved_names("parameter")]}},
        "additionalProperties": VALUE,
        "not": {"anyOf": [
            {"required": list(pair), "properties": {key: {"type": "object"} for key in pair}}
            for pair in combinations(FORMULAS, 2) if "map" in pair
        ]},
    }  # fmt: skip


def initial_schema(settings: Schema) -> Schema:
    """Return the schema of the initial state: a formula or a number for each field.

    Args:
        settings: the schema of the section that is derived from its class.
    """
    return {
        **settings,
        "properties": {"default": {**VALUE, "description": "for all fields that are not named"}},
        "additionalProperties": {"anyOf": [VALUE, {"type": "array", "items": VALUE}]},
        "propertyNames": {"pattern": IDENTIFIER},
    }


def boundary_schemas() -> dict[str, Schema]:
    """Return the schemas of the boundary conditions: of the section, and of its parts.

    Returns:
        A mapping from names in ``$defs`` to schemas; the section is ``Boundary``.
    """
    values = dict.fromkeys(("dirichlet", "neumann"), VALUE)
    robin: Schema = {
        "description": "a*u + b*du/dn = value",
        "type": "object",
        "properties": {"a": VALUE, "b": VALUE, "value": VALUE},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    second: Schema = {
        "description": "a second condition, for laplacian(u); a value is a Dirichlet condition",
        "type": ["string", "number", "object"],
        "properties": {**values, "robin": robin},
        "additionalProperties": False,
        "maxProperties": 1,
    }
    valued = {**values, "robin": robin, "absorbing": VALUE}
    without = {kind: {"const": 0} for kind in KINDS if kind not in valued}
    names = {"enum": [*(kind for kind in KINDS if kind not in ("robin", "absorbing")), *PAIRS]}
    named = {"anyOf": [names, {"$ref": "#/$defs/Interpolation"}]}
    condition: Schema = {
        "type": ["object", "null"],
        "properties": {
            **without, **valued, LAPLACIAN: second,
            WHERE: {"description": "the part of the side", "type": "string"},
            OTHERWISE: {"$ref": "#/$defs/Condition"},
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 3,
        "dependentRequired": {WHERE: [OTHERWISE], OTHERWISE: [WHERE]},
    }  # fmt: skip
    sides: Schema = {
        "type": "object",
        "properties": {side: {"$ref": "#/$defs/Condition"} for side in SIDES},
        "additionalProperties": False,
    }
    layer = {
        "if": {"type": "object", "anyOf": [{"required": [side]} for side in SIDES]},
        "then": sides,
        "else": {"$ref": "#/$defs/Condition"},
    }
    layers = {
        key: {"$ref": "#/$defs/Layer"} for key in ("default", *AXES, "r")
    } | {"mask": {"$ref": "#/$defs/Condition"}}  # fmt: skip
    field: Schema = {
        "description": "The conditions of one field",
        "type": ["object", "null"],
        "properties": layers,
        "additionalProperties": False,
    }
    return {
        "Condition": {"if": {"type": "string"}, "then": named, "else": condition},
        "Layer": layer,
        "Boundary": {
            "description": description_of(build_boundary),
            "type": "object",
            "properties": layers,
            "additionalProperties": field,
        },
    }
