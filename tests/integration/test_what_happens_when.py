"""docs/what-happens-when.md is held against the tests: a case without a test fails here, and so does a test that the list
does not have."""
import ast
import os
import re
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
LIST = os.path.join(HERE, "../../docs/what-happens-when.md")
SECTIONS = ["Configuration", "Addresses", "Commands", "Workers", "Timing", "Limits", "Control"]
HEAD = ["what goes wrong", "what the person sees", "what goes on serving", "test"]
SHORT = 8  # pieces of texts between two placeholders that say nothing


def rows(text):
    """(section, cells) for each line of the tables."""
    section = None
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|") and not set(line) <= set("|- "):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if cells != HEAD:
                yield section, cells


def names_in(cell):
    return re.findall(r"`([\w.]+::[^`]+)`", cell)


def collected(files):
    """All tests there are in these files: file::test, with [variant] where there are several."""
    done = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files], cwd=HERE,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.rpartition("/")[2] if "[" not in line else line[line.rfind("/", 0, line.index("::")) + 1:]
            for line in done.stdout.splitlines() if "::" in line}


def base(test):
    return test.partition("[")[0]


def problems(text, found, when_tests):
    """What is wrong between the list and the tests, in words."""
    told = [(section, cells, names_in(cells[-1])) for section, cells in rows(text)]
    known = found | {base(test) for test in found}
    named = {test for _, _, tests in told for test in tests}
    wrong = [f"{section}: a row has {len(cells)} columns: {cells}" for section, cells, _ in told if len(cells) != 4 or not all(cells)]
    wrong += [f"{section}: '{cells[0]}' has no test" for section, cells, tests in told if not tests]
    wrong += [f"the list names {test}, which does not exist" for test in sorted(named - known)]
    wrong += [f"{test} is in no row of the list" for test in sorted(when_tests) if test not in named and base(test) not in named]
    return wrong


@pytest.fixture(name="text")
def fixture_text():
    with open(LIST, encoding="utf-8") as file:
        return file.read()


def when_files():
    return sorted(name for name in os.listdir(HERE) if re.fullmatch(r"test_when_\w+\.py", name))


def test_every_case_has_a_test_and_every_test_a_case(text):
    named = {test.partition("::")[0] for _, cells in rows(text) for test in names_in(cells[-1])}
    found = collected(sorted(named | set(when_files())))
    wrong = problems(text, found, {test for test in found if test.partition("::")[0] in when_files()})
    assert not wrong, "\n".join(wrong)


def test_the_sections(text):
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    assert {section for section, _ in rows(text)} == set(SECTIONS)


def literals(files):
    """All strings in these files; in patterns the backslashes are taken away."""
    for name in files:
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            for node in ast.walk(ast.parse(file.read())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                    yield re.sub(r"\\(.)", r"\1", node.value)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_texts_are_those_of_the_tests(text, section):
    """What is shown in the list stands in a test, too: piece by piece, as tests put sentences together."""
    named = {test.partition("::")[0] for _, cells in rows(text) for test in names_in(cells[-1])}
    said = "\0".join(literals(sorted({*named, *when_files(), "when.py"})))
    shown = [span for where, cells in rows(text) if where == section for span in re.findall(r"`([^`]+)`", cells[1])]
    pieces = [piece.strip() for span in shown for piece in re.split(r"<[a-zA-Z]+>|: |, |\] ", span)]
    missing = [piece for piece in pieces if len(piece) >= SHORT and piece not in said]
    assert len(pieces) > 10 and not missing, "\n".join(missing)


def test_the_comparison_itself():
    """It fails when it should."""
    good = "## Control\n| what | `said` | all | `test_when_x.py::test_a[b c]`<br>`test_when_x.py::test_d` |\n"
    found = {"test_when_x.py::test_a[b c]", "test_when_x.py::test_d[e]", "test_when_x.py::test_d[f]"}
    assert problems(good, found, found) == []
    assert problems(good, found | {"test_when_x.py::test_g"}, found | {"test_when_x.py::test_g"}) == ["test_when_x.py::test_g is in no row of the list"]
    assert problems(good, found - {"test_when_x.py::test_a[b c]"}, set()) == ["the list names test_when_x.py::test_a[b c], which does not exist"]
    assert problems("## Control\n| what | `said` | all | none |\n", set(), set()) == ["Control: 'what' has no test"]
    assert "columns" in problems("## Control\n| what | `test_x.py::test_y` |\n", {"test_x.py::test_y"}, set())[0]
