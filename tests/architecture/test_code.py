"""Modules stay small and plainly named; what the house forbids is absent."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "joblib"}


def test_modules_have_at_most_300_lines(modules: list[Path]) -> None:
    assert [f"{path}: {lines}" for path in modules if (lines := count_lines(path)) > MAX_MODULE_LINES] == []


def test_functions_have_at_most_40_lines_beside_their_docstring(modules: list[Path]) -> None:
    long = [
        f"{path}:{function.lineno} {function.name}: {lines}"
        for path in modules
        for function in find_functions(ast.parse(path.read_text()))
        if (lines := count_function_lines(function)) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_the_count_of_a_function_leaves_its_docstring_out() -> None:
    (function,) = find_functions(ast.parse('def f(\n  a,\n):\n  """One.\n\n  Three.\n  """\n  return a\n'))
    assert count_function_lines(function) == 4


def test_no_module_or_folder_is_named_after_nothing_in_particular(modules: list[Path], root: Path) -> None:
    parts = {part for path in modules for part in path.relative_to(root).with_suffix("").parts}
    assert parts & FORBIDDEN_NAMES == set()


def test_no_code_validates_with_assert(modules: list[Path]) -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_no_code_imports_a_pickler(modules: list[Path]) -> None:
    found = [
        f"{path}: {name}"
        for path in modules
        for name in find_imports(ast.parse(path.read_text()))
        if name.split(".")[0] in FORBIDDEN_MODULES
    ]
    assert found == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX"])
def test_no_code_is_left_to_be_done(word: str, modules: list[Path]) -> None:
    assert [str(path) for path in modules if word in path.read_text()] == []


def test_every_package_says_what_it_is_for(modules: list[Path]) -> None:
    silent = [
        str(path)
        for path in modules
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def find_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def find_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def count_function_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines
