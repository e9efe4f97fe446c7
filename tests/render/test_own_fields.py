"""The members of a sweep over equations show the default fields of their own equations."""

from __future__ import annotations

import pytest
from made_runs import make_run

from pdesim.cli.main import main
from pdesim.errors import ConfigError
from pdesim.output.sweeps import find_members
from pdesim.render import film, montage
from pdesim.render.own_fields import own_animation
from pdesim.settings import Animation, Montage


@pytest.fixture
def sweep(tmp_path):
    """Two runs with different fields, of which the second one does not exist in the other run."""
    folder = tmp_path / "sweep"
    make_run(folder / "0", fields=("u", "v"), shown="v", status={"state": "finished"})
    make_run(folder / "1", fields=("a", "u"), shown="u", status={"state": "finished"})
    make_run(folder / "2", fields=("a", "b"), shown="lost", status={"state": "finished"})
    return folder


def test_each_member_shows_its_own_field(sweep, capsys):
    members, animation = find_members(sweep), Animation(field="v")
    shown = [own_animation(one, members, animation, True) for one in members]
    assert [one and one.field for one in shown] == ["v", "u", None]
    assert [path.name for path in montage(sweep, animation, Montage())] == [
        "montage.png", "montage.gif",
    ]  # fmt: skip
    assert film(sweep, animation).name == "film.gif"
    assert main(["render", str(sweep)]) == 0 and "montage.png" in capsys.readouterr().out


def test_a_field_that_the_user_has_chosen(sweep):
    members = find_members(sweep)
    for animation, own_fields in ((Animation(field="v"), False), (Animation(field="2*v"), True)):
        shown = [own_animation(one, members, animation, own_fields) for one in members]
        assert [one and one.field for one in shown] == [animation.field, None, None]
    assert montage(sweep, Animation(field="v"), Montage(), own_fields=False)
    for draw in (film, lambda *given: montage(*given, Montage())):
        with pytest.raises(ConfigError, match="'q'"):
            draw(sweep, Animation(field="q"))
