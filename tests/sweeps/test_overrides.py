"""The words of a sweep -> its members."""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from pdesim.config.compose import choices, compose_settings
from pdesim.errors import ConfigError, MissingExtraError, PdesimError
from pdesim.sweeps.notes import repeated_members
from pdesim.sweeps.overrides import DRAWING, SAMPLERS, expand, members

PARSER = OverridesParser.create()
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(st.none(), st.booleans(), st.integers(), numbers, st.text(max_size=12))
names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


def read(member: list[str]) -> dict:
    """What Hydra makes of a member's words."""
    return {o.key_or_group: o.value() for o in PARSER.parse_overrides(member)}


def column(rows: list[list[str]], name: str) -> list:
    return [read(row)[name] for row in rows]


def test_grid_is_in_the_order_of_hydras_own_sweeper():
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    words = ["equation=heat", "a=1,2", "b=x,'y z',[3,4]", "seed=range(3)", "time.end=range(0,1,.5)"]
    (batch,) = BasicSweeper.split_arguments(PARSER.parse_overrides(words), None)
    assert expand(words) == batch
    # a setting that is named twice is swept once, by its last word
    assert expand(["a=1,2", "b=3", "a=4,5"]) == [["a=4", "b=3"], ["a=5", "b=3"]]


def test_sections_of_users_names_stay_open():
    (member,) = expand(["equation=heat", "equation.mine=3", "~initial", "+grid=4"])
    assert member == ["equation=heat", "++equation.mine=3", "~initial", "+grid=4"]


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from("abcde"), st.lists(values, min_size=1, max_size=3)))
def test_lists_from_files_come_back_as_they_were(over):
    rows = expand([], parameters=over)
    expected = itertools.product(*over.values())
    for row, wanted in zip(rows, expected, strict=True):
        found = list(read(row).values())
        assert found == list(wanted) and [*map(type, found)] == [*map(type, wanted)]


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(DRAWING), st.integers(1, 40), st.integers(0, 2**40), st.data())
def test_draws_lie_inside_and_read_back_exactly(sampler, n, seed, data):
    low, high = sorted(data.draw(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2)))
    if not low < high:
        high = low + 1 + abs(low)
    start = data.draw(st.integers(-50, 50))
    words = [
        f"a=interval({low!r},{high!r})",
        "b=tag(log,interval(1e-7,1e-3))",
        f"c=int(interval({start},{start + 6}))",
        "d=tag(log,int(interval(1,100)))",
        "e=p,q,r",
    ]
    rows = expand(words, sampler, n, seed)
    assert rows == expand(words, sampler, n, seed) and len(rows) == n
    for row in rows:
        found = read(row)
        assert low <= found["a"] <= high and 1e-7 <= found["b"] <= 1e-3
        assert row[0] == f"a={found['a']!r}"  # the text is the number, to the last bit
        assert type(found["c"]) is int and start <= found["c"] <= start + 6
        assert type(found["d"]) is int and 1 <= found["d"] <= 100 and found["e"] in "pqr"


@pytest.mark.parametrize("sampler", DRAWING)
def test_draws_depend_on_the_place_of_a_setting_not_on_its_name(sampler):
    one = expand(["a=interval(0,1)", "b=interval(0,2)", "seed=3"], sampler, 16, 5)
    two = expand(["grid=8", "x=interval(0,1)", "y=interval(0,2)"], sampler, 16, 5)
    assert column(one, "a") == column(two, "x") and column(one, "b") == column(two, "y")
    assert column(one, "a") != column(expand(["a=interval(0,1)"], sampler, 16, 6), "a")


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_more_members_keep_the_first_ones(sampler):
    words = ["a=interval(0,1)", "b=tag(log,interval(1,9))"]
    assert expand(words, sampler, 32, 1)[:8] == expand(words, sampler, 8, 1)


@pytest.mark.parametrize("sampler", DRAWING)
@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["seed=range(8)"], 8),
        (["seed=int(interval(0,7))"], 8),
        (["equation.F=1,2,3,4", "seed=int(interval(1,3))"], 12),
        (["seed=tag(log,int(interval(1,50)))"], 50),  # 50 has a probability of 0.005
    ],
)
def test_finite_sets_are_drawn_without_replacement(sampler, words, size):
    for n in (2, size // 2, size):
        assert len({tuple(row) for row in expand(words, sampler, n, 3)}) == n
    counts = Counter(map(tuple, expand(words, sampler, 2 * size, 3)))
    assert len(counts) == size or sampler == "latin_hypercube"
    if sampler != "latin_hypercube":
        assert set(counts.values()) == {2}  # the whole set once, then again
        assert expand(words, sampler, size, 3)[:2] == expand(words, sampler, 2, 3)


def test_an_interval_beside_a_list_leaves_the_list_as_it_was():
    """No two members are equal then, and a value of the list may come back."""
    rows = expand(["seed=range(3)", "a=interval(0,1)"], "random", 12, 0)
    assert len({tuple(row) for row in rows}) == 12
    assert {row["seed"] for row in map(read, rows)} == {0, 1, 2}


def test_drawing_without_replacement_is_unbiased():
    first = [column(expand(["a=range(4)"], "random", 2, seed), "a") for seed in range(600)]
    pairs = Counter(map(tuple, first))
    assert len(pairs) == 12  # all ordered pairs of different values
    # 50 of each expected, with a standard deviation of 6.8; four of it are rare
    assert max(abs(count - 50) for count in pairs.values()) < 27


def test_repeated_members_are_reported():
    (note,) = repeated_members(expand(["seed=range(8)"], "random", 20, 0))
    assert "12 of the 20 members" in note
    (note,) = repeated_members(expand(["seed=1,1,2"]))
    assert "1 of the 3 members" in note
    assert not list(repeated_members(expand(["seed=range(8)"], "random", 8, 0)))


def test_distributions():
    words = ["a=interval(0,1)", "b=tag(log,interval(1e-4,1))", "c=int(interval(1,4))", "d=x,y"]
    for sampler in DRAWING:
        rows = [read(row) for row in expand(words, sampler, 1024, 2)]
        a, b = np.array([r["a"] for r in rows]), np.log10([r["b"] for r in rows])
        # the standard error of 1024 independent draws is 0.009, and four of it are rare
        assert abs(a.mean() - 0.5) < 0.036 and abs((b / -4).mean() - 0.5) < 0.036
        for name, share in (("c", 1 / 4), ("d", 1 / 2)):
            _, counts = np.unique([row[name] for row in rows], return_counts=True)
            assert len(counts) == 1 / share
            assert np.abs(counts / 1024 - share).max() < 4 * math.sqrt(share * (1 - share) / 1024)


def test_even_samplers_are_even():
    """One point in every n-th part of each axis; of Sobol's for powers of two."""
    for sampler in ("latin_hypercube", "sobol"):
        rows = expand(["a=interval(0,1)", "b=interval(0,1)"], sampler, 64, 0)
        for name in "ab":
            parts = np.floor(np.array(column(rows, name)) * 64)
            assert sorted(parts) == list(range(64))
    # (0, 2)-net: in two dimensions every rectangle of area 1/64 of the dyadic kind, too
    cells = {(int(8 * a), int(8 * b)) for a, b in (read(row).values() for row in rows)}
    assert len(cells) == 64


def test_zip_and_settings_from_a_file():
    over = {"equation": {"F": [0.01, 1e-05]}, "equation.k": "0.04, 0.05", "label": ["a b", "true"]}
    rows = expand(["equation=gray_scott", "grid=8"], "zip", parameters=over)
    assert [read(row)["equation.F"] for row in rows] == [0.01, 1e-05]
    assert [read(row)["label"] for row in rows] == ["a b", "true"]
    assert rows[0][-2:] == ["equation=gray_scott", "grid=8"] and len(rows) == 2
    # the shell's word takes the place of the file's, with one value as with many
    rows = expand(["equation.F=7", "label=x,y"], "zip", parameters=over)
    assert [(read(row)["equation.F"], read(row)["label"]) for row in rows] == [(7, "x"), (7, "y")]
    assert expand(["a=1"], "zip") == [["a=1"]]


def test_glob_finds_configs():
    assert [row[0] for row in expand(["stepper=glob(etdrk*)"])] == [
        f"stepper=etdrk{n}" for n in (1, 2, 3, 4)
    ]


def test_the_command_line_chooses_its_sampler():
    words = ["equation=gray_scott", "equation.F=interval(0.02,0.06)", "sweep=sobol", "sweep.n=4"]
    rows = members(words)
    found = [compose_settings(row).settings for row in rows]
    assert len({one.equation["F"] for one in found}) == 4 and found[0].sweep.name == "sobol"
    assert members([*words, "sweep.seed=1"])[0][1] != rows[0][1]
    assert len(members(["equation=heat,wave", "grid=8,16"])) == 4
    assert {*SAMPLERS} == {*choices("sweep")}


BAD = [
    (["a=interval(0,1)"], {}, "sweep=grid cannot take a=interval(0.0, 1.0)"),
    (["a=interval(0,1)"], {"sampler": "zip"}, "random"),
    (["a=interval(0,1)"], {"sampler": "random"}, "sweep.n"),
    (["a=interval(0,1)"], {"sampler": "sobol", "n": 0}, "sweep.n=64"),
    (["a=1,2"], {"n": 3}, "with sweep=grid the number of members"),
    (["a=1"], {"sampler": "random", "n": 3}, "needs a setting to vary"),
    (["a=tag(log,interval(0,1))"], {"sampler": "random", "n": 3}, "above 0"),
    (["a=tag(log,interval(-2,-1))"], {"sampler": "random", "n": 3}, "above 0"),
    (["a=tag(ln,interval(1,2))"], {"sampler": "random", "n": 3}, "tag(log"),
    (["a=interval(1,1)"], {"sampler": "random", "n": 3}, "low < high"),
    (["a=interval(0,inf)"], {"sampler": "random", "n": 3}, "finite"),
    (["a=1,2", "b=1,2,3"], {"sampler": "zip"}, "a has 2, b has 3"),
    (["a=shuffle(1,2)"], {}, "different order"),
    (["a=range(3,1)"], {}, "no values"),
    (["stepper=glob(zz*)"], {}, "no values"),
    (["a=range(0,2e6,.5)"], {}, "at most"),
    ([f"{name}=range(1000)" for name in "abc"], {}, "1,000,000,000 members"),
    (["sweep.seed=1,2"], {}, "cannot differ between the members"),
    (["sweep=zip,grid"], {}, "cannot differ between the members"),
    (["a=sin(1,2)"], {}, "a="),
    (["a=1"], {"sampler": "gird"}, "grid"),
    (["a=1"], {"parameters": {"b": []}}, "sweep.parameters.b"),
    (["a=1"], {"parameters": {"b": "f(x"}}, "b"),
]


@pytest.mark.parametrize("words,how,told", BAD)
def test_mistakes_are_told(words, how, told):
    with pytest.raises(PdesimError) as caught:
        expand(words, **how)
    assert told in str(caught.value) and len(str(caught.value).splitlines()) <= 4


def test_mistakes_of_the_command_line_are_told():
    for words, told in (
        (["sweep=sobl"], "sobol"),
        (["sweep.n=0"], "greater"),
        (["sweep.sed=1"], "seed"),
        (["equation.F=interval(0,1)"], "sweep=random"),
    ):
        with pytest.raises(ConfigError, match=told):
            members(["equation=gray_scott", *words])


def test_a_missing_scipy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert expand(["a=interval(0,1)"], "random", 2)
    with pytest.raises(MissingExtraError, match="sampling"):
        expand(["a=interval(0,1)"], "sobol", 2)
