"""What a mutant may change: every place of a Python file where one small change should be seen by a test."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISON = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPPOSITE = {
    **{"min": "max", "minimum": "maximum", "amin": "amax", "argmin": "argmax", "floor": "ceil", "any": "all"},
    **{"zeros_": "ones_", "sum": "mean"},
    **{"exp": "expm1", "log": "log1p", "searchsorted": "digitize", "union": "intersection"},
}
OPPOSITE |= {there: here for here, there in OPPOSITE.items() if here not in ("searchsorted", "union")}
#: Calls ``x.f(…)`` and ``module.f(x, …)`` that may go, so that ``x`` is left.
DROPPED = {"clamp", "abs", "exp", "log", "log1p", "expm1", "sqrt", "tanh", "sigmoid", "normalize", "dropout", "unique"}
DROPPED |= {"clone", "copy", "detach", "masked_fill", "nan_to_num", "flip", "t", "sort", "sorted", "minimum", "maximum"}
#: Of these a change is no other behaviour, or one that nobody sees.
QUIET_KEYWORDS = {"strict", "dtype", "device", "stacklevel", "description", "encoding", "copy", "stable", "kind"}
#: How much is worked on at a time, which draws are drawn, which settings are tried.
QUIET_NAMES = re.compile(r"_AT_ONCE$|BLOCK|BATCH|CHUNK|^__all__$|^seed$|^tuning$")
QUIET_PARTS = {"annotation", "returns", "decorator_list", "bases", "type_comment", "defaults", "kw_defaults"}
QUIET_FUNCTIONS = {"__repr__", "__str__", "__hash__"}
QUIET_CALLS = {"Table", "add_column", "cast", "TypeVar", "Field", "warn", "HupError", "ValueError", "KeyError"}
QUIET_LAST = ("to", "contiguous", "__init__")  # where a tensor lies; what nothing works without
TINY, HUGE = 1e-4, 1e6  # guards against division by 0, and infinities


@dataclass(frozen=True)
class Mutation:
    """One change: the bytes ``start … end - 1`` of a file become ``text``."""

    line: int
    start: int
    end: int
    text: str
    told: str


def mutations(source: str) -> list[Mutation]:
    """List all changes of a file, in order of place."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    changes = []
    for node, changed, told in _walk(tree):
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        text = "pass" if changed is None else ast.unparse(changed)
        changes.append(Mutation(node.lineno, start, end, f"({text})" if isinstance(changed, ast.expr) else text, told))
    return sorted(changes, key=lambda change: (change.start, change.end, change.text))


Change = tuple[ast.AST, "ast.AST | None", str]  # a node, what it becomes (None: it goes), and how that is told


def _walk(node: ast.AST) -> Iterator[Change]:
    """Go down, past what only people read or type checkers."""
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return
    if isinstance(node, ast.FunctionDef) and node.name in QUIET_FUNCTIONS:
        return
    if isinstance(node, ast.Call) and _name(node.func) in QUIET_CALLS:
        return
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and QUIET_NAMES.search(ast.unparse(_target(node))):
        return
    if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
        return  # the default of an option
    yield from _changes(node)
    for name, value in ast.iter_fields(node):
        if name in QUIET_PARTS:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.keyword) and child.arg in QUIET_KEYWORDS:
                continue
            if isinstance(child, ast.Subscript) and isinstance(node, (ast.Assign, ast.Call)) and _is_type(child):
                continue
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.BinOp(op=ast.Div(), left=left) if re.search("folder|path|root", ast.unparse(left)):
            pass  # of a path, which nothing is found without
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.Compare(ops=[op]):
            yield _with(node, ops=[COMPARISON[type(op)]()])
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not(), operand=operand):
            yield node, operand, _told(node, operand)
        case ast.IfExp():
            yield _with(node, body=node.orelse, orelse=node.body)
        case ast.Constant(value=value) if type(value) in (bool, int, float):
            if not isinstance(value, float):
                yield _with(node, value=not value if isinstance(value, bool) else value + 1)
            elif value == 0 or TINY < value < HUGE:
                yield _with(node, value=value * 3 if value else 0.5)
        case ast.Call():
            yield from _of_call(node)
        case ast.If() | ast.While():
            test = node.test
            negated = test.operand if isinstance(test, ast.UnaryOp) else ast.UnaryOp(ast.Not(), test)
            yield test, negated, f"{ast.unparse(test)}  →  {ast.unparse(negated)}"
        case ast.comprehension():
            for test in node.ifs:
                yield test, ast.UnaryOp(ast.Not(), test), f"if {ast.unparse(test)}  →  if not …"
    if isinstance(node, ast.stmt) and _may_go(node):
        yield node, None, f"{ast.unparse(node)}  →  (removed)"


def _of_call(node: ast.Call) -> Iterator[Change]:
    name, arguments = _name(node.func), node.args
    if name in OPPOSITE and (name != "sum" or isinstance(node.func, ast.Attribute)):
        function = copy.deepcopy(node.func)
        setattr(function, "attr" if isinstance(function, ast.Attribute) else "id", OPPOSITE[name])
        yield _with(node, func=function)
    if name in DROPPED and isinstance(node.func, ast.Attribute):
        of_module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("torch", "np", "functional")
        left = arguments[0] if of_module and arguments else node.func.value
        if not (of_module and not arguments):
            yield node, left, _told(node, left)
    if name == "where" and len(arguments) == 3:
        yield _with(node, args=[arguments[0], arguments[2], arguments[1]])
    for keyword in node.keywords:
        if keyword.arg is not None and keyword.arg not in QUIET_KEYWORDS:
            changed = copy.copy(node)
            changed.keywords = [other for other in node.keywords if other is not keyword]
            yield node, changed, f"{ast.unparse(node.func)}(…, {ast.unparse(keyword)})  →  without {keyword.arg}"


def _may_go(node: ast.stmt) -> bool:
    """Whether a statement can be left out and all names still mean something."""
    match node:
        case ast.Expr(value=ast.Call()) | ast.Assign(value=ast.Call()) if _name(node.value.func) in QUIET_LAST:
            return False
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return not ast.unparse(node.targets[0]).startswith("self.")
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value))
    return False


def _with(node: ast.AST, **fields: object) -> Change:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return node, changed, _told(node, changed)


def _told(node: ast.AST, changed: ast.AST) -> str:
    return f"{ast.unparse(node)}  →  {ast.unparse(changed)}"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.target if isinstance(node, ast.AnnAssign) else node.targets[0]


def _is_type(node: ast.Subscript) -> bool:
    """Whether it is a type, as ``NDArray[np.int64]``, where a value could be, too."""
    return isinstance(node.value, ast.Name) and node.value.id in ("NDArray", "list", "dict", "tuple", "Sequence")
