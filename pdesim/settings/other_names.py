"""Other names of settings, such as ``end`` and ``t_end`` of ``time.end``, for the hints of errors.

Settings that lie in a section are also found by their own name.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from pdesim.errors import Names, nearest

#: setting -> names that it has in other programs; compared without underscores and in lower case
_OTHERS = {
    "time.end": "end tend tmax tfinal tstop endtime finaltime stoptime maxtime duration tspan",
    "time.start": "start tstart t0 starttime",
    "time.dt": "dt timestep step deltat tstep",
    "grid": "n nx ny nz resolution cells ncells points npoints size shape gridsize gridshape mesh",
    "domain.extent": "extent l lx ly length lengths width boxsize box bounds size",
    "domain.dimensions": "dim dims ndim dimension",
    "domain.mask": "mask obstacle obstacles",
    "boundary": "bc bcs boundaries boundarycondition boundaryconditions wall walls",
    "initial": "ic ics init initialcondition initialconditions initialstate u0",
    "stepper": "method integrator scheme timestepper timestepping",
    "operators.order": "order spaceorder",
    "equation": "eq eqn equations pde model problem",
    "equation.rhs": "rhs",
    "seed": "randomseed rngseed",
    "device": "gpu cpu backend",
    "device.precision": "dtype float floattype",
    "output.frames": "frames nframes snapshots nsnapshots saves",
    "output.every": "saveevery outputevery interval saveinterval",
    "animation.colormap": "cmap colourmap colormap",
    "hydra.run.dir": "dir out outdir outputdir outputfolder folder path rundir savedir",
}
#: a section, to which a single value was given -> the setting that was probably meant
_MEANT = {"time": "time.end", "domain": "domain.extent", "output": "output.frames",
          "animation": "animation.field", "device": "device.name"}  # fmt: skip


def _settings(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = field.annotation
        if not prefix and isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _settings(inner, f"{name}.")


def suggest_settings(key: str, model: type[BaseModel], known: Iterable[str]) -> Names:
    """Return the names for the error of an unknown setting.

    Args:
        key: the name that was given, such as ``t_end`` or ``output.dir``.
        model: the class of all settings.
        known: the names that are allowed in its section.

    Returns:
        The known names and, as similar ones, settings that have this name in other sections or in
        other programs, or else the most similar known name.
    """
    last = key.rpartition(".")[2]
    names = nearest(last, known)
    if last.casefold() in (one.casefold() for one in names.known):
        return names
    plain = last.replace("_", "").casefold()
    same = [s for s in _settings(model) if s.rpartition(".")[2].casefold() == last.casefold()]
    others = [setting for setting, words in _OTHERS.items() if plain in words.split()]
    if key.casefold() in ("run.dir", "output.dir", "hydra.dir"):
        others = ["hydra.run.dir"]
    if key.casefold() in ("sweep.dir", "sweep.folder"):
        others = ["hydra.sweep.dir"]
    found = others or same
    return Names(names.known, tuple(dict.fromkeys(found))) if found else names


def meant_setting(section: str) -> str:
    """Return the setting that is meant by a single value of a section; empty if not known."""
    return _MEANT.get(section, "")
