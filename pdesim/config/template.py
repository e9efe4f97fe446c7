"""New equation files for users to start from."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pdesim.config.folders import choices
from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_path
from pdesim.model.equation_settings import LONGEST_TEXTS

#: names that need no quotes in YAML and on the command line
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
#: words that YAML or Hydra read as other values than text
_VALUES = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")
#: the file; NAME and COMMAND are replaced
TEMPLATE = """\
# @package _global_
# Describe the equation here. It is run by
#   COMMAND
# Lists of all functions, initial states and boundary conditions:
#   pdesim list functions; pdesim list initial; pdesim list boundary
defaults:
  - override /initial: zero        # fields that are not in the section initial below
  - override /boundary: periodic   # or neumann, dirichlet; per side: docs/boundaries.md

equation:
  name: NAME
  title: NAME
  about: Oscillators that are coupled by diffusion; noise develops into spirals.
  fields: [u, v]
  labels: {u: first field, v: second field}   # for pictures; units: {u: K} adds a unit

  # parameters: numbers, or formulas of other parameters, of x, y, z and of t
  D: 2.0e-4
  c: 1.0
  rate: 2*c - 1

  # du/dt and dv/dt; "solve:" instead of "rhs:" for steady problems, 0 = ...
  rhs:
    u: D*laplacian(u) + rate*u - (u - c*v)*(u**2 + v**2)
    v: D*laplacian(v) + rate*v - (v + c*u)*(u**2 + v**2)

# initial states: numbers or formulas
initial:
  u: random_normal(0.1)
  v: random_normal(0.1)

grid: 128              # cells per axis, or [nx, ny]

domain:
  dimensions: 2        # 1, 2 or 3
  extent: 1.0          # length along x, or [Lx, Ly]

time:
  end: 60.0
  dt: auto             # from the stability limit and the estimated error, or a number

animation:
  field: u             # a field, or a formula such as sqrt(u**2 + v**2)
  colormap: RdBu_r     # a colour map of Matplotlib
"""


def create_equation(name: str, folder: Path) -> Path:
    """Write a new equation file, ``FOLDER/equation/NAME.yaml``.

    Args:
        name: the name of the equation.
        folder: the folder with the user's configs, which is created if it does not exist.

    Returns:
        The path of the file.

    Raises:
        ConfigError: if the name cannot be used, or is that of a shipped equation.
        OutputError: if the file exists or cannot be written.
    """
    check_name(name)
    path = check_path(folder) / "equation" / f"{name}.yaml"
    text = TEMPLATE.replace("COMMAND", run_command(name, folder)).replace("NAME", name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(
            f"{path} already exists; nothing was overwritten",
            hint="another name, or another folder (--folder DIR)",
        ) from None
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror})", hint="another folder (--folder DIR)"
        ) from None
    return path


def check_name(name: str) -> None:
    """Check that an equation file can have this name.

    Raises:
        ConfigError: for a name that cannot be used, and for the name of a shipped equation, which
            would be used instead of the new file.
    """
    wrong = not _NAME.fullmatch(name) or name.lower() in _VALUES
    if wrong or len(name) > LONGEST_TEXTS["name"]:
        raise ConfigError(
            f"{name[:200]!r} cannot be the name of an equation file",
            f"letters, digits, _ and -, beginning with a letter, at most {LONGEST_TEXTS['name']} "
            "characters, such as my_equation",
        )
    if name in choices("equation"):
        raise ConfigError(
            f"{name} is the name of a shipped equation", "another name", f"pdesim list {name}"
        )


def run_command(name: str, folder: Path | str | None) -> str:
    """Return the command that runs an equation of the library or, with a folder, a user's file."""
    if folder is None:
        return f"pdesim equation={name}"
    return f"pdesim --config-dir {shlex.quote(str(folder))} equation={name}"
