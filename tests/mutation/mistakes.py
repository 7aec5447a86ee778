"""A module with one small mistake in it, for every place where one can be made. Pure.

Mistakes: another comparison, another operation, a constant one off, a condition turned round, a
statement, an argument or a flag left out, nothing returned, an error let through. Texts put together
(f-strings) are replaced whole: before Python 3.12 nobody says where their parts stand. Imports,
annotations, docstrings and decorators are left as they are.

mutmut 3.8 would leave out what stands outside functions, and all functions with a decorator: the limits
of the pacer, and its `turn`.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
_OPERATIONS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.Pow: "*",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
}
_OTHER_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SIMPLE = (ast.Expr, ast.AugAssign, ast.Raise, ast.Delete, ast.Assign, ast.Break, ast.Continue)

_LONG_ENOUGH = 24  # to find its place by itself

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where it is made, what stood there, what stands there now, and the whole module with it.

    `name` is the same as long as that function has that place.
    """

    name: str
    line: int
    source: str


def mistakes_in(source: str) -> list[Mistake]:
    """Every module that differs from `source` by one mistake, in the order of the lines."""
    found: dict[str, Mistake] = {}
    seen = Counter[str]()
    places = _Places(source)
    for place, span, new in sorted(places.changes, key=lambda change: change[1]):
        changed = source.encode()[: span[0]] + new.encode() + source.encode()[span[1] :]
        name = f"{place}: {_told(source.encode(), span, new)}"
        seen[name] += 1
        name += f" (#{seen[name]})" if seen[name] > 1 else ""
        line = source.encode()[: span[0]].count(b"\n") + 1
        found.setdefault(ast.dump(ast.parse(changed)), Mistake(name, line, changed.decode()))
    found.pop(ast.dump(ast.parse(source)), None)
    return list(found.values())


class _Places(ast.NodeVisitor):
    """Walks through a module and notes each change: the function, the bytes replaced, and by what."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._starts = [0]
        for line in self._source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._within: list[str] = []
        self.changes: list[tuple[str, Span, str]] = []
        self.visit(ast.parse(source))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt) and not _is_docstring(node):
            self._statement(node)
        if not _is_docstring(node):
            super().visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node.name, node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        defaults = [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]
        self._inside(node.name, [*defaults, *node.body])

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        """Nothing to mistake."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Nor here."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._change(node, "'XX'")

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool(value):
                self._change(node, str(not value))
            case int(value) | float(value):
                self._change(node, repr(value + 1))
                self._change(node, repr(value - 1) if value else "(-1)")
            case str(value):
                self._change(node, repr(value + "XX"))
            case bytes(value):
                self._change(node, repr(value + b"XX"))

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for place, how in enumerate(node.ops):
            for other in _COMPARISONS[type(how)]:
                self._between(sides[place], sides[place + 1], f" {other} ")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr):
            self._change(node, self._text(node.left))
            self._change(node, self._text(node.right))
        else:
            self._between(node.left, node.right, f" {_OPERATIONS[type(node.op)]} ")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._between(node.target, node.value, f" {_OPERATIONS.get(type(node.op), '')}= ")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = " or " if isinstance(node.op, ast.And) else " and "
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, other)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._change(node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self._turn_round(node.test)
        self.generic_visit(node)

    visit_While = visit_If
    visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for each in node.ifs:
            self._turn_round(each)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _OTHER_NAMES:
            self._change(node.func, _OTHER_NAMES[node.func.id])
        words = [*node.args, *node.keywords]
        for left_out in words:
            rest = ", ".join(self._text(word) for word in words if word is not left_out)
            self._change(node, f"{self._text(node.func)}({rest})")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._change(node.value, "None")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._replace(self._span(node.body[0])[0], self._span(node.body[-1])[1], "raise")
        self.generic_visit(node)

    def _statement(self, node: ast.stmt) -> None:
        """Leaves it out. Not where a plain name would have no value: anybody notices that."""
        is_name = isinstance(node, ast.Assign) and all(isinstance(each, ast.Name) for each in node.targets)
        if isinstance(node, _SIMPLE) and not is_name:
            self._change(node, "pass")

    def _inside(self, name: str, nodes: list[ast.stmt] | list[ast.AST]) -> None:
        self._within.append(name)
        for node in nodes:
            self.visit(node)
        self._within.pop()

    def _turn_round(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Compare):
            self._change(node, f"not ({self._text(node)})")

    def _between(self, left: ast.expr, right: ast.expr, new: str) -> None:
        """Another operator; what stands around it is a part of the name."""
        (start, end), (other_start, other_end) = self._span(left), self._span(right)
        gap = self._source[end:other_start].decode()
        closing, opening = gap.count(")") * ")", gap.count("(") * "("
        old = self._source[start:end].decode() + closing
        self._replace(start, other_end, f"{old}{new}{opening}{self._text(right)}")

    def _change(self, node: ast.AST, new: str) -> None:
        self._replace(*self._span(node), new)

    def _replace(self, start: int, end: int, new: str) -> None:
        self.changes.append((".".join(self._within) or "module", (start, end), new))

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _span(self, node: ast.AST) -> Span:
        place: ast.expr = node  # type: ignore[assignment]
        assert place.end_lineno is not None and place.end_col_offset is not None
        start = self._starts[place.lineno - 1] + place.col_offset
        return start, self._starts[place.end_lineno - 1] + place.end_col_offset


def _is_docstring(node: ast.AST) -> bool:
    """Also the line below a name that says what it is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _told(source: bytes, span: Span, new: str) -> str:
    """The change in one line; what is short is told with the line that it stands in."""
    old = " ".join(source[span[0] : span[1]].decode().split())
    change = f"{old} => {' '.join(new.split())}"
    if len(old) >= _LONG_ENOUGH:
        return change
    start, end = source.rfind(b"\n", 0, span[0]) + 1, source.find(b"\n", span[1])
    return f"{change} in {source[start:end].decode().strip()}"
