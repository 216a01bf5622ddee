"""Filter: does `where:` of the table let this change through? It sees raw values and answers nothing but yes or no."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from jmespath.functions import Functions, signature
from jmespath.visitor import Options

from models.change import Change, Row
from models.column_types import exact_number
from models.outcome import Dead, Failure
from models.strict_json import decimal_text
from models.tables import ColumnType, TableSpec
from models.where import names, parse

REASON = "filtered_where"

_FAULTS = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""What evaluating an expression raises for values it was not made for."""


class ExactFunctions(Functions):
    """JMESPath's functions, which take a Decimal for the number it is."""

    def _type_check_single(self, current: Any, types: list[str], function_name: str) -> None:
        super()._type_check_single(_number_like(current), types, function_name)  # type: ignore[misc]

    def _convert_to_jmespath_type(self, pyobject: str) -> str:
        if pyobject == Decimal.__name__:
            return "number"
        return str(super()._convert_to_jmespath_type(pyobject))  # type: ignore[misc]

    @signature({"types": []})
    def _func_type(self, arg: Any) -> Any:
        return super()._func_type(_number_like(arg))  # type: ignore[misc]

    @signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        number = exact_number(arg)
        return int(number) if number is not None and number == number.to_integral_value() else number

    @signature({"types": []})
    def _func_to_string(self, arg: Any) -> Any:
        return decimal_text(arg) if isinstance(arg, Decimal) else super()._func_to_string(arg)  # type: ignore[misc]


class Filter:
    """A `where:` made ready for the hot path."""

    def __init__(self, text: str, spec: TableSpec) -> None:
        """Raises models.where.InvalidExpression; the loader of tables.yaml has told about it before."""
        self._expression = parse(text)
        self._options = Options(custom_functions=ExactFunctions())
        self._asks_for_changes = "changed" in names(self._expression)
        self._decimals = [name for name, kind in spec.columns.items() if kind is ColumnType.DECIMAL]

    def check(self, change: Change, changed: Callable[[], Iterable[str]]) -> bool | Dead:
        """Whether the change is to be published. Dead if the expression does not fit its values. `changed` finds the
        names of changed columns, should the expression ask for them."""
        view = {
            "operation": change.operation.wire,
            "before": self._numbers(change.before),
            "after": self._numbers(change.after),
            "keys": self._numbers(change.keys),
            "changed": sorted(changed()) if self._asks_for_changes else [],
            "snapshot": change.snapshot,
            "schema": change.schema,
            "table": change.table,
        }
        try:
            answer = self._expression.search(view, self._options)
        except _FAULTS:
            # The exception's text may quote the row (P6).
            return Dead(Failure.TRANSFORMATION_ERROR, "where cannot be decided: a value is not of the type it needs")
        return not (answer is None or answer is False or answer in ("", [], {}))

    def _numbers(self, row: Row | None) -> dict[str, Any] | None:
        """The row, with numbers in columns of decimals: some sources write them as text."""
        if row is None:
            return None
        found = dict(row)
        for name in self._decimals:
            if isinstance(found.get(name), str):
                found[name] = exact_number(found[name])
        return found


def _number_like(value: Any) -> Any:
    if isinstance(value, Decimal):
        return 0
    if isinstance(value, list):
        return [0 if isinstance(item, Decimal) else item for item in value]
    return value
