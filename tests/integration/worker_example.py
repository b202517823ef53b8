"""The example of handover-worker(7) as a program against libhandover."""
import re
import subprocess

REFUSAL = 'there is no socket "web"\n'  # what it says where nobody supervises it, and exits with 1
ANSWER = b"hello\n"


def source(page):
    """The page's first example, with mdoc's escapes undone."""
    text = re.search(r"^\.Bd -literal\n(.*?)^\.Ed$", page, re.M | re.S).group(1)
    assert "int main" in text
    return text.replace("\\e", "\\")


def build(page, program, flags, compiler=("gcc",)):
    """The page's example as that program; flags are pkg-config's."""
    with open(f"{program}.c", "w", encoding="utf-8") as file:
        file.write(source(page))
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-D_GNU_SOURCE", "-o", program, f"{program}.c", *flags],
                   check=True)
    return program


def linked(program):
    """What the loader loads with it."""
    return subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout


def run_alone(program):
    """It, without a supervisor."""
    return subprocess.run([program], check=False, stderr=subprocess.PIPE, text=True, timeout=30, env={"PATH": "/usr/bin:/bin"})
