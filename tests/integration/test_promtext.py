"""The validator of Prometheus' format finds what is wrong, and nothing else."""

import pytest

from promtext import PromError, parse

GOOD = r"""# HELP a_total Things.
# TYPE a_total counter
a_total{pool="x",why="say \"hi\" \\ \n"} 3
a_total{pool="y"} 1e3 1700000000000
# HELP b Now.
# TYPE b gauge
b -1.5
# HELP h_seconds Times.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 1
h_seconds_bucket{le="+Inf"} 2
h_seconds_sum 7.25
h_seconds_count 2
"""


def test_a_good_page():
    families = parse(GOOD)
    assert families["a_total"].value(pool="x", why='say "hi" \\ \n') == 3
    assert families["a_total"].value(pool="y") == 1000
    assert families["b"].value() == -1.5
    assert families["h_seconds"].value("_bucket", le="+Inf") == 2


@pytest.mark.parametrize("good, bad, words", [
    ('{pool="y"}', '{pool="x",why="say \\"hi\\" \\\\ \\n"}', "twice"),
    ('{pool="y"}', '{pool="y",pool="z"}', "twice"),
    ('{pool="y"}', '{pool="y\\d"}', "escape"),
    ('{pool="y"}', '{pool="y}', "labels"),
    ('{pool="y"}', '{0pool="y"}', "label"),
    ("1e3 17", "1e3 now 17", "value"),
    ("-1.5", "one", "value"),
    ("# TYPE b gauge\n", "# TYPE b gauge\n# TYPE b gauge\n", "second TYPE"),
    ("# TYPE b gauge\n", "", "no TYPE"),
    ("# HELP b Now.\n", "", "no HELP"),
    ("# TYPE b gauge", "# TYPE b counter", "_total"),
    ("# TYPE b gauge", "# TYPE b gouge", "no type"),
    ("b -1.5\n", 'b -1.5\na_total{pool="z"} 1\n', "not together"),
    ("b -1.5\n", "b -1.5\n# HELP b Late.\n", "after its samples"),
    ('le="+Inf"} 2', 'le="+Inf"} 0', "cumulative"),
    ('le="+Inf"} 2', 'le="4"} 2', r"\+Inf"),
    ("h_seconds_count 2", "h_seconds_count 3", "_count"),
    ("h_seconds_sum 7.25\n", "", "missing"),
    ("h_seconds_sum 7.25", "h_seconds 7.25", "own name|together|TYPE"),
    ('_total{pool="x",why="say \\"hi\\" \\\\ \\n"} 3', '_total{pool="x"} -3', "below 0"),
    ("h_seconds_count 2\n", "h_seconds_count 2", "newline"),
])
def test_what_is_wrong(good, bad, words):
    assert good in GOOD
    with pytest.raises(PromError, match=words):
        parse(GOOD.replace(good, bad, 1))
