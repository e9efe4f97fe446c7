"""The JSON Schema of configuration files, with the validator of the library jsonschema."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from omegaconf import OmegaConf

from pdesim.cli.main import main
from pdesim.config.compose import choices, compose_settings, config_folder, groups
from pdesim.errors import ConfigError
from pdesim.schema import KINDS, build_schema
from pdesim.schema.comments import comments_in, setting_comments
from pdesim.settings import Settings
from pdesim.steppers import METHODS

SCHEMAS = {kind: build_schema(kind) for kind in KINDS}
FILES = [
    (group, name) for group in ("equation", "experiment") for name in choices(group)
]  # fmt: skip


def read(text: str):
    return OmegaConf.to_container(OmegaConf.create(text))


def places(text: str, kind: str = "any") -> list[str]:
    """The dotted names of the settings that the validator reports, each once."""
    errors = Draft202012Validator(SCHEMAS[kind]).iter_errors(read(text))
    return sorted({".".join(map(str, error.absolute_path)) for error in errors})


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_are_valid(kind):
    Draft202012Validator.check_schema(SCHEMAS[kind])
    Draft7Validator.check_schema(SCHEMAS[kind])
    json.dumps(SCHEMAS[kind], allow_nan=False)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_shipped_files_are_valid(group, name):
    text = (config_folder() / group / f"{name}.yaml").read_text()
    assert places(text) == places(text, group) == []


@pytest.mark.parametrize("name", [name for name in choices("equation") if name != "custom"])
def test_composed_settings_are_valid(name):
    """All settings of a run, which the classes of the settings have validated."""
    values = compose_settings([f"equation={name}"]).values
    errors = list(Draft202012Validator(SCHEMAS["experiment"]).iter_errors(values))
    assert [error.message for error in errors] == []


def test_every_choice_of_every_group_is_valid():
    for group in groups():
        for name in choices(group):
            words = [f"{group}={name}"]
            values = compose_settings(words).values
            values.pop("equation")
            errors = list(Draft202012Validator(SCHEMAS["any"]).iter_errors(values))
            assert [error.message for error in errors] == [], words


VALID = [
    "rhs: {u: 'laplacian(u)'}",
    "D: 1\nrhs: {u: D*laplacian(u)}\nfields: [u]\nrate: 2*D",
    "defaults: [heat]\nD: 2",
    "about: text",
    "equation: {rhs: {u: 0}}\ntime: {end: 2*pi, start: '1/3'}",
    "domain: {extent: [2*pi, 3]}\ngrid: [64, 32]",
    "output: {times: 'geomspace(0.01, 100, 21)'}",
    "output: {region: {x: [0.2, 0.8]}, keep_bits: null}",
    "time: {end: '${domain.extent}', dt: auto}\ndevice: {precision: '${label}'}",
    "boundary: {default: neumann, x: {lower: {dirichlet: sin(t)}, upper: {neumann: 0}}}",
    "boundary: {u: {y: {robin: {a: 1, b: 0.5, value: 0}}}, mask: {dirichlet: 1}}",
    "boundary: {default: {neumann: 0, laplacian: neumann}, x: simply_supported, z: clamped}",
    "defaults:\n  - override /initial: mine\n  - /stepper: rk4\n  - _self_\ngrid: 8",
    "defaults:\n  - optional hydra/job_logging: none\n  - /animation@animation: gif\nseed: 1",
    "experiment: {name: mine, about: text}\nsweep: {parameters: {equation.D: [1, 2]}}",
    "hydra: {run: {dir: outputs/mine}}\nlabel: 'no'",
    "equation: {rhs: null, solve: {u: laplacian(u)}}",
    "rhs: {u: 0}\ntime: {end: 3}\ninitial: {u: exp(-r**2)}\ngrid: 64",
    "rhs: {u: seed*u + grid}\nseed: 0.5\ngrid: 1.5",
    "rhs: {u: 0}\nboundary: neumann\ninitial: sin(x)\nstepper: rk4",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_files(text):
    assert places(text) == []


MISTAKES = [
    ("rhs: {u: [1]}", "rhs.u"),
    ("rhs: laplacian(u)", "rhs"),
    ("rhs: {u: 0}\nD: [1, 2]", "D"),
    ("rhs: {u: 0}\nD: true", "D"),
    ("rhs: {u: 0}\nx: 3", ""),  # the name is reserved
    ("rhs: {u: 0}\nfields: u", "fields"),
    ("rhs: {u: 0}\ntime: {ende: 3}", "time"),
    ("rhs: {u: 0}\nboundary: {dfault: neumann}", "boundary.dfault"),
    ("rhs: {u: 0}\nmap: {u: 0}", ""),
    ("D: 1\nrsh: {u: D}", "rsh"),
    ("equation: {rhs: {u: 0}}\ntme: {end: 1}", ""),
    ("equation: {rhs: {u: {}}}", "equation.rhs.u"),
    ("equation: {rhs: {u: 0}, name: a/b}", "equation.name"),
    ("time: {ende: 3}", "time"),
    ("time: {end: soon}", "time.end"),
    ("time: {end: 1, dt: -1}", "time.dt"),
    ("time: {dt: fast}", "time.dt"),
    ("time: 3", "time"),
    ("grid: 3", "grid"),
    ("grid: [64, 3.5]", "grid"),
    ("grid: [1, 2, 3, 4]", "grid"),
    ("seed: -1", "seed"),
    ("stepper: {name: rk5}", "stepper.name"),
    ("stepper: rk5", "stepper"),
    ("operators: {order: 3}", "operators.order"),
    ("operators: {name: fft}", "operators.name"),
    ("device: {precision: float16}", "device.precision"),
    ("animation: {colormap: viridiss}", "animation.colormap"),
    ("animation: {fps: 60}", "animation.fps"),
    ("output: {compression: zip}", "output.compression"),
    ("output: {times: 'logspace(0, 1, 3)'}", "output.times"),
    ("domain: {dimensions: 4}", "domain.dimensions"),
    ("domain: {extent: 0}", "domain.extent"),
    ("initial: {u: {a: 1}}", "initial.u"),
    ("boundary: {default: open}", "boundary.default"),
    ("boundary: {x: {lower: periodc}}", "boundary.x.lower"),
    ("boundary: {x: {left: {neumann: 0}}}", "boundary.x"),
    ("boundary: {u: {x: {robin: {a: 1}}}}", "boundary.u.x.robin"),
    ("boundary: {dfault: neumann}", "boundary.dfault"),
    ("boundary: {mask: {neumann: [0]}}", "boundary.mask.neumann"),
    ("defaults:\n  - override /stepper: rk5\ngrid: 8", "defaults.0"),
    ("defaults:\n  - overide /stepper: rk4\ngrid: 8", "defaults.0"),
    ("defaults:\n  - override /setpper: rk4\ngrid: 8", "defaults.0"),
    ("sweep: {name: all}", "sweep.name"),
    ("workers: {n: 0}", "workers.n"),
    ("resume: always", "resume"),
]


@pytest.mark.parametrize(("text", "place"), MISTAKES)
def test_mistakes_are_reported_where_they_are(text, place):
    found = places(text)
    assert found and all(name.startswith(place) for name in found), found
    assert place in found or found == [f"{place}.override /stepper"], found


def test_names_of_the_users_own_files(tmp_path):
    (tmp_path / "stepper").mkdir()
    (tmp_path / "stepper" / "fast.yaml").write_text("name: rkl2\nstages: 20\n")
    text = read("defaults:\n  - override /stepper: fast\ngrid: 8")
    assert not Draft202012Validator(SCHEMAS["any"]).is_valid(text)
    assert Draft202012Validator(build_schema("any", [tmp_path])).is_valid(text)


def test_settings_are_described():
    """Descriptions come from the comments in the shipped files and from docstrings."""
    defined = SCHEMAS["any"]["$defs"]
    assert set(Settings.model_fields) | {"defaults", "hydra"} == set(
        defined["Settings"]["properties"]
    )
    described = {
        f"{section}.{name}": setting["description"]
        for section in ("Time", "Output", "Animation", "Operators", "Domain", "Montage", "Sweep")
        for name, setting in defined[section]["properties"].items()
        if name not in ("name", "start", "end", "fps", "overwrite")
    }
    assert [name for name, text in described.items() if not text] == []
    assert "above the stability limit" in described["Time.dt"]
    assert "harmonic if D depends" in described["Operators.face_mean"]
    assert "seconds between checkpoints" in described["Output.checkpoint"]
    assert "clamped" in defined["Boundary"]["description"]
    assert "sine" in str(defined["Defaults"]["items"]["properties"]["override /operators"])
    assert defined["Stepper"]["properties"]["name"]["anyOf"][0]["enum"] == ["auto", *METHODS]


def test_comments():
    text = "a: 1  # one\n       # more\nb:\n  c: 'x'   # two\n# heading\n  d: {e: 1}\nf: 3\n"
    assert comments_in(text) == {"a": "one more", "b.c": "two"}
    assert setting_comments()["time.wall_limit"].startswith("wall-clock seconds")


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS["any"]
    assert main(["schema", "experiment", "--output", "e.json"]) == 0
    assert json.loads((tmp_path / "e.json").read_text()) == SCHEMAS["experiment"]
    assert capsys.readouterr().out == "e.json\n"
    assert main(["schema", "--output", "e.json"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    for words in (["equations"], ["equation", "experiment"], ["--config-dir", "none"]):
        assert main(["schema", *words]) == 2
        said = capsys.readouterr().err
        assert "expected:" in said and "Traceback" not in said
    with pytest.raises(ConfigError, match="no schema is called equations"):
        build_schema("equations")
