"""One converter between attrs classes and plain data, strict about types.

cattrs would turn ``"no"`` into True, 22.9 into 22 and ``"42"`` into ("4", "2"); here a value has its type or the
conversion fails.
Unknown fields are ignored: a newer peer or a newer file may have more. (Configuration files forbid them;
`fetchml_core.config` does that on its own.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin

from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError

from .errors import HostError

T = TypeVar("T")


def _exactly(kind: type) -> Any:
    def hook(value: Any, _: type) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return hook


def _number(value: Any, _: type) -> float:
    if type(value) not in {int, float}:  # bool is an int
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return float(value)


def _is_row(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (Ellipsis,)


def _row(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    inner = get_args(kind)[0]
    structure = converter.get_structure_hook(inner)

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) not in {list, tuple}:  # a str and a dict can be walked through too
            raise TypeError(f"expected a list, got {type(value).__name__}")
        return tuple(structure(item, inner) for item in value)

    return hook


def strict_converter(**options: Any) -> Converter:
    """Return a converter whose bool, int, str, float and tuple take nothing but themselves."""
    converter = Converter(**options)
    for kind in (bool, int, str):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_row, _row)
    return converter


@functools.cache
def _converter(*, detailed: bool = False) -> Converter:
    return strict_converter(omit_if_default=True, detailed_validation=detailed)


def to_data(value: Any) -> Any:
    """Return *value*, an attrs object, as dicts, lists and scalars; fields at their default are left out."""
    return _converter().unstructure(value)


def from_data(data: Any, kind: type[T], *, what: str = "record") -> T:
    """Make a *kind* from plain data.

    Raises:
        HostError: ``damaged-record``, with the path of the field that does not fit.
    """
    if not isinstance(data, dict):  # an empty list has none of the fields, too
        raise HostError(
            "damaged-record", f"this {what} cannot be read", context=f"it is a {type(data).__name__}"
        )
    try:
        return _converter().structure(data, kind)
    except (TypeError, ValueError, KeyError, AttributeError):
        pass  # once more, with the place of the trouble: to keep it at hand costs every record that has none
    try:
        return _converter(detailed=True).structure(data, kind)
    except (BaseValidationError, TypeError, ValueError, KeyError) as error:
        problems = transform_error(error) if isinstance(error, BaseValidationError) else [str(error)]
        raise HostError(
            "damaged-record", f"this {what} cannot be read", context="; ".join(problems)[:400]
        ) from None
