"""The configurations that handover.ini(5) has for servers."""
import os
import re

import harness

PAGE = os.path.join(harness.ROOT, "packaging/man/handover.ini.5")


def snippets():
    """Keys of a pool, by the titles in "SERVERS"."""
    with open(PAGE, encoding="utf-8") as file:
        section = re.search(r"^\.Sh SERVERS\n(.*?)^\.Sh ", file.read(), re.M | re.S).group(1)
    items = re.findall(r"^\.It (.*?)\n.*?^\.Bd [^\n]*\n(.*?)^\.Ed$", section, re.M | re.S)
    return {title: dict(line.replace("\\e", "\\").split(" = ", 1) for line in text.splitlines()) for title, text in items}


def snippet(item):
    """That of the title that begins so."""
    [keys] = [keys for title, keys in snippets().items() if title.startswith(item)]
    return keys
