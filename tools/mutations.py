"""The small mistakes that `mutants.py` makes: what may stand in the place of an expression or a statement.

Type annotations, decorators, docstrings, imports, asserts and interfaces are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

OPERATORS: dict[type[ast.AST], tuple[type[Any], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.FloorDiv: (ast.Mult,),
    ast.Div: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitXor: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.Pow: (ast.Mult,),
}
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min"}
NO_CODE = {"annotation", "returns", "decorator_list", "bases"}


@dataclass(frozen=True)
class Change:
    """A change of one node.

    Attributes:
        node: The node.
        changed: What stands in its place.
        function: The qualified name of the function around it; empty outside of one.
        text: Whether it changes only words that people read.
        make: Puts it into the tree.
    """

    node: ast.AST
    changed: ast.AST
    function: str
    text: bool
    make: Callable[[], None]


def changes(node: ast.AST, scope: str = "", *, within: bool = False, text: bool = False) -> Iterator[Change]:
    """Give all changes below a node, always in the same order.

    Args:
        node: The node.
        scope: The qualified name of what is around it, as Python spells it.
        within: Whether that is a function.
        text: Whether it is part of a message.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}{'.<locals>' if within else ''}.{node.name}".removeprefix(".")
        within = not isinstance(node, ast.ClassDef)
    text = text or isinstance(node, ast.Raise | ast.JoinedStr)
    for name, value in ast.iter_fields(node):
        if name in NO_CODE or (name == "func" and isinstance(value, ast.Subscript)):
            continue
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or is_no_code(child):
                continue
            words = isinstance(child, ast.Constant) and isinstance(child.value, str) and (text or " " in child.value)
            for changed in variants(child):
                yield Change(child, changed, scope if within else "", words, partial(_put, node, name, at, changed))
            yield from changes(child, scope, within=within, text=text)


def _put(node: ast.AST, name: str, at: int | None, changed: ast.AST) -> None:
    if at is None:
        setattr(node, name, changed)
    else:
        getattr(node, name)[at] = changed


def is_no_code(node: ast.AST) -> bool:
    """Say whether a node is a docstring, an import, an assert, the name of a type or an interface."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Expr(value=ast.Constant()):
            return True
        case ast.ClassDef():
            return any(ast.unparse(base).startswith("Protocol") for base in node.bases)
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id=name))):
            return name[0].isupper() and not name.isupper()
    return False


def variants(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - a table of cases
    """Give what may stand in the place of a node."""
    but = partial(_but, node)
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                for other in OPERATORS[type(operator)]:
                    yield but(ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])
        case ast.BoolOp():
            yield but(op=OPERATORS[type(node.op)][0]())
            yield from (but(values=rest) if rest[1:] else rest[0] for rest in _one_less(node.values))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield but(op=OPERATORS[type(node.op)][0]())
        case ast.Constant(value=bool(value)):
            yield but(value=not value)
        case ast.Constant(value=(int() | float()) as value):
            yield but(value=value + 1)
        case ast.Constant(value=str(value)):
            yield but(value=value + "X")
        case ast.Constant(value=bytes(value)):
            yield but(value=value + b"X")
        case ast.Call():
            yield from (but(keywords=rest) for rest in _one_less(node.keywords))
            if len(node.args) > 1 and not any(isinstance(value, ast.Starred) for value in node.args[:2]):
                yield but(args=[node.args[1], node.args[0], *node.args[2:]])
            if isinstance(node.func, ast.Name) and node.func.id in NAMES:
                yield but(func=ast.Name(NAMES[node.func.id], ast.Load()))
        case ast.Slice():
            yield from (but(**{part: None}) for part in ("lower", "upper", "step") if getattr(node, part))
        case ast.List(ctx=ast.Load()) | ast.Tuple(ctx=ast.Load()) | ast.Set():
            yield from (but(elts=rest) for rest in _one_less(node.elts) if rest)
        case ast.Dict():
            for keys, values in zip(_one_less(node.keys), _one_less(node.values), strict=True):
                yield but(keys=keys, values=values)
        case ast.IfExp():
            yield but(body=node.orelse, orelse=node.body)
        case ast.comprehension():
            yield from (but(ifs=rest) for rest in _one_less(node.ifs))
        case _:
            yield from _statements(node)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise():
            yield ast.Pass()
        case ast.AugAssign():
            yield ast.Pass()
            yield from (_but(node, op=other()) for other in OPERATORS[type(node.op)])
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield ast.Return(None)
        case ast.If() | ast.While() if not isinstance(node.test, ast.Compare):
            yield _but(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _but(node: ast.AST, **fields: object) -> ast.AST:
    """Return a node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _one_less(items: list[Any]) -> Iterator[list[Any]]:
    yield from (items[:at] + items[at + 1 :] for at in range(len(items)))
