"""The table of servers and handover.ini(5) are about the same."""
import re

import page
from table import SERVERS


def test_each_configuration_of_the_page_is_tried():
    titles = list(page.snippets())
    assert len(titles) >= 10
    assert [title for title in titles if not any(title.startswith(server.item) for server in SERVERS)] == []


def test_each_item_of_the_page_is_read():
    with open(page.PAGE, encoding="utf-8") as file:
        section = re.search(r"^\.Sh SERVERS\n(.*?)^\.Sh ", file.read(), re.M | re.S).group(1)
    assert re.findall(r"^\.It (.*)$", section, re.M) == list(page.snippets())
