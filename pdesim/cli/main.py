"""The command line: the program ``pdesim``.

If the first argument contains no ``=`` and does not begin with ``-``, it is a command. Otherwise
the arguments describe a run or a sweep.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pdesim.cli.crash_report import EXIT_CODE, report, reported_in
from pdesim.cli.hydra_options import (
    PASSED_ON,
    TRUST,
    check_folder_setting,
    check_options,
    sort_words,
)
from pdesim.cli.streams import close_streams, keep_streams_usable
from pdesim.cli.sweep_values import check_sweep
from pdesim.cli.words import check_split, check_words, unknown_command
from pdesim.errors import ConfigError, PdesimError, is_out_of_memory, out_of_memory

#: errors of the operating system that a wrong path on the command line can cause
_PATH_ERRORS = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR,
    errno.ELOOP, errno.EROFS,
)  # fmt: skip

#: commands; each is implemented by the module of the same name in this package
COMMANDS = (
    "list", "new", "analyze", "fit", "play", "render", "resume", "branch", "rerun", "recover",
    "info", "compare", "export", "dataset", "verify", "converge", "bench", "schema", "completion",
)  # fmt: skip

#: a command that the scripts of ``pdesim completion`` call
HIDDEN_COMMAND = "complete"

#: sections of settings that have an effect only on sweeps (-m)
SWEEP_SECTIONS = ("sweep", "workers")
#: sections of settings that have an effect only on fits
FIT_SECTIONS = ("data", "fit")
#: the exit code after Ctrl-C
INTERRUPTED = 130

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pdesim.config.compose import Composed
    from pdesim.plan import Plan
    from pdesim.run.continuation import Continuation
    from pdesim.settings import Settings

HELP = """\
pdesim: equations as text in YAML, run as fast TensorFlow programs on CPU or GPU.

  pdesim equation=gray_scott grid=512            one run, into outputs/gray_scott/<date>_<time>
  pdesim equation=heat boundary=neumann time.end=2 device.precision=float64
  pdesim -m equation=gray_scott equation.F=0.03,0.04,0.05      a sweep
  pdesim --config-dir my equation=NAME           your own my/equation/NAME.yaml; files in my/ may
                                                 not set Hydra's own settings without --trust-config
  pdesim equation=linear_system n=5000           a dense linear system A x = y; A=A.npy y=y.npy
  pdesim equation=custom "equation.rhs={u: '0.001*laplacian(u) + u - u**3'}"

  pdesim list [NAME]                             equations, steppers, functions and all choices
  pdesim new NAME                                an equation file to start from
  pdesim analyze equation=brusselator            steady states, their stability, patterns
  pdesim fit equation=heat data=film.h5 'fit={equation.D: [1e-4, 1e-2]}'   fit parameters to data
  pdesim play equation=gray_scott --open         a page that computes it in the browser
  pdesim render PATH [animation.colormap=magma]  draw a run, or all runs of a sweep, again
  pdesim render PATH --page                      write an interactive page of a run or a sweep
  pdesim resume RUN [time.end=200]               resume a stopped run, bit for bit
  pdesim branch RUN [--at TIME] equation.F=0.05  a new run from a frame, with other settings
  pdesim rerun RUN [--folder DIR]                compute a run again, and compare the result
  pdesim recover PATH                            repair a snapshots.h5 whose writer was killed
  pdesim info PATH [--json]                      settings, state and fields of a run or a sweep
  pdesim compare A B [--field u] [--json]        norms of the difference of two runs
  pdesim export PATH --to netcdf                 also well, pdebench, vti, npz, xdmf
  pdesim dataset equation=heat ... --to well     a data set of trajectories for machine learning
  pdesim verify equation=heat operators.order=4  measured orders of accuracy
  pdesim converge equation=heat grid=64          the error in space of a problem, from three grids
  pdesim bench equation=heat --sizes 64,256      the speed of the step loop
  pdesim schema > pdesim.schema.json             the JSON Schema of YAML files, for editors
  pdesim completion bash                         a completion script; also zsh, fish
  pdesim COMMAND --help                          more about a command
  pdesim --version                               the version
  pdesim --hydra-help                            Hydra's own options (--cfg job, ...)

Settings (pdesim equation=NAME --cfg job shows them all with their values):
  grid=512 or [512,256]   domain.extent=2.5   domain.origin=0   domain.dimensions=2   seed=0
  time.end=100   time.dt=auto   output.frames=100   output.every=0.5   hydra.run.dir=DIR
  boundary=periodic   boundary.x=neumann   'boundary.y={lower: {dirichlet: "sin(pi*x)"}}'
  "initial.u='exp(-r**2)'"   equation.D=0.01   operators.order=2   device.precision=float32
  animation.field=v   animation.colormap=magma   animation.fps=20
"""


def entry() -> NoReturn:
    """Run the command line and exit with its exit code."""
    keep_streams_usable()
    code = main()
    close_streams()
    # All files are closed already. The shutdown of TensorFlow would take seconds, and "python -m"
    # would end by SIGINT if Ctrl-C interrupted an exec() of text, as dataclasses call it.
    if "tensorflow" in sys.modules or code == INTERRUPTED:
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(arguments)
    except SystemExit as done:  # --help of a command
        return int(done.code or 0)
    except PdesimError as error:
        return _report(error)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if is_out_of_memory(error):
            return _report(out_of_memory())
        if isinstance(error, OSError) and error.errno in _PATH_ERRORS and error.filename:
            return _report(PdesimError(f"{str(error.filename)[:200]}: {error.strerror}"))
        print(f"pdesim: {report(error, arguments)}", file=sys.stderr)
        return EXIT_CODE


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command != HIDDEN_COMMAND:
        check_split(arguments)
    if command in (*COMMANDS, HIDDEN_COMMAND):
        module = import_module(f"pdesim.cli.{command}")
        paths = [Path(text) for text in arguments[1:] if command == "resume" and "=" not in text]
        with reported_in(next(iter(paths), None)):
            return module.run(arguments[1:])
    if any(word in ("--help", "-h") for word in (command, *arguments)):
        print(HELP, end="")
        return 0
    if "--version" in arguments:
        import pdesim

        print(f"pdesim {pdesim.__version__}")
        return 0
    from pdesim.settings import Settings

    check_words(arguments, tuple(Settings.model_fields))
    if "=" not in command and not command.startswith(("-", "~")):
        raise unknown_command(command, COMMANDS, arguments[1:])
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """Check the arguments, and then start a run, a sweep, or one of Hydra's own functions."""
    from pdesim.config.compose import compose_settings, open_override
    from pdesim.dense.settings import chosen_system
    from pdesim.files import check_sweep_folder
    from pdesim.sweeps.compose import Composer
    from pdesim.sweeps.overrides import first_values, members

    trusted = TRUST in arguments
    flags, overrides, config_dir = sort_words([word for word in arguments if word != TRUST])
    check_options(flags)
    if system := chosen_system(overrides):
        from pdesim.dense.command import run_linear_system

        if flags:
            raise ConfigError(f"{' '.join(flags)} does not apply to equation={system}")
        return run_linear_system(system, overrides)
    for_hydra = flags + [open_override(o) for o in overrides]
    foreign = config_dir is not None or any(o.startswith("hydra.searchpath") for o in overrides)
    if any(flag.partition("=")[0] in PASSED_ON for flag in flags):
        if foreign:
            compose_settings(overrides, config_dir).check_trust(trusted)
        return _start(for_hydra, config_dir)
    if not overrides:
        raise ConfigError(
            f"{' '.join(arguments)} is given without settings", "settings such as equation=heat"
        )
    multirun = "-m" in flags or "--multirun" in flags
    check_folder_setting(overrides, multirun)
    if not multirun:
        return _run(overrides, config_dir, trusted)
    if not any(o.startswith(("hydra/launcher=", "hydra/sweeper=")) for o in overrides):
        return _sweep(overrides, config_dir, trusted)
    if foreign and not trusted:
        raise ConfigError(
            "--config-dir is not allowed with Hydra's own launchers, because its files could run "
            "arbitrary code",
            hint=f"add {TRUST} if you trust all of these files, or use workers=joblib",
        )
    check_sweep(members(overrides, config_dir), Composer(config_dir, trusted))
    check_sweep_folder(compose_settings(first_values(overrides), config_dir).sweep_folder)
    return _start(for_hydra, config_dir)


def _run(overrides: Sequence[str], config_dir: str | None, trusted: bool) -> int:
    """Start a single run, which is composed and planned before its folder is created."""
    from pdesim.cli.other_hosts import compute_part, is_other_host
    from pdesim.config.compose import run_as_job
    from pdesim.files import make_folder

    config, composed, plan = _planned(overrides, config_dir, trusted)
    if is_other_host(composed.settings.device):
        compute_part(plan, composed.run_folder, composed.yaml)
        return 0
    for sections, use in ((SWEEP_SECTIONS, "-m starts a sweep"), (FIT_SECTIONS, "see pdesim fit")):
        unused = [text for text in overrides if text.partition("=")[0].split(".")[0] in sections]
        if unused:
            line = f"pdesim: {' '.join(unused)} has no effect on a single run; {use}"
            print(line, file=sys.stderr)
    make_folder(composed.run_folder)
    with reported_in(composed.run_folder):
        run_as_job(config, lambda: _job(composed.values, composed.settings, plan))
    return 0


def _planned(
    overrides: Sequence[str], config_dir: str | None, trusted: bool
) -> tuple[DictConfig, Composed, Plan | Continuation]:
    """Return the configuration, the composed settings, and the plan of a new or a resumed run."""
    from pdesim.cli.other_hosts import is_other_host, own_rows
    from pdesim.config.compose import choose_run_folder, compose_config, composed_from, is_given
    from pdesim.files import check_folder, new_folder
    from pdesim.model.grid import build_grid
    from pdesim.plan import build_plan
    from pdesim.run.continuation import continue_run
    from pdesim.run.on_hosts import wait_until_joined

    config = compose_config(overrides, config_dir)
    composed = composed_from(config, overrides).check_trust(trusted).check_single()
    device = composed.settings.device
    other_host, rows = is_other_host(device), own_rows(device)
    if _resumes(composed.settings, composed.run_folder):
        if other_host:
            wait_until_joined(composed.run_folder)
        # planned before Hydra writes into the folder, which may contain a run with other settings
        return config, composed, continue_run(composed.run_folder, composed.values, rows=rows)
    own = None if rows is None else rows(build_grid(composed.settings).shape[0])
    plan = build_plan(composed.settings, composed.equation, rows=own)
    if other_host:
        return config, composed, plan
    new = not is_given("hydra.run.dir", overrides)
    _check_folder(composed.run_folder, new or plan.settings.output.overwrite)
    check_folder(composed.run_folder)  # before Hydra writes into it
    if new:  # another run may have started in the same second
        composed = replace(composed, run_folder=new_folder(composed.run_folder))
        choose_run_folder(config, composed.run_folder)
    return config, composed, plan


def _resumes(settings: Settings, folder: Path) -> bool:
    """Return whether the folder contains a run that is to be resumed."""
    from pdesim.output import RunFolder

    return settings.resume == "auto" and RunFolder(folder).contains_run


def _check_folder(folder: Path, overwrite: bool, setting: str = "hydra.run.dir") -> None:
    """Check that a folder can be created or written, and that no run would be overwritten.

    Args:
        folder: the folder.
        overwrite: whether an existing run may be overwritten.
        setting: the setting that chooses the folder, for errors.

    Raises:
        OutputError: if the folder cannot be created or written, or contains a run that must not be
            overwritten.
    """
    from pdesim.files import check_creatable
    from pdesim.output import RunFolder

    check_creatable(folder, setting)
    RunFolder(folder).check_overwrite(overwrite, setting)


def _sweep(overrides: Sequence[str], config_dir: str | None, trusted: bool) -> int:
    """Run a sweep."""
    from rich.console import Console

    from pdesim.config.compose import compose_settings, is_given
    from pdesim.files import check_sweep_folder, new_folder
    from pdesim.run.on_hosts import no_hosts_error
    from pdesim.sweeps.compose import Composer
    from pdesim.sweeps.notes import repeated_members, settings_without_effect
    from pdesim.sweeps.overrides import first_values, members
    from pdesim.sweeps.run import run_sweep

    if is_given("hydra.sweep.subdir", overrides):
        raise ConfigError(
            "hydra.sweep.subdir cannot be set: the members of a sweep are in folders 0, 1, 2, ...",
            hint="label=NAME sets the name of a run in pictures; sweep.csv lists all values",
        )
    composed = compose_settings(first_values(overrides), config_dir).check_trust(trusted)
    if composed.settings.device.hosts is not None:
        raise no_hosts_error()
    jobs, compose = members(overrides, config_dir), Composer(config_dir, trusted)
    if composed.settings.sweep.name == "grid":
        check_sweep(jobs, compose)
    for note in (*settings_without_effect(composed, overrides, jobs), *repeated_members(jobs)):
        print(f"pdesim: {note}", file=sys.stderr)
    folder = composed.sweep_folder
    _check_folder(folder, overwrite=True, setting="hydra.sweep.dir")
    check_sweep_folder(folder)
    if not is_given("hydra.sweep.dir", overrides):
        # another sweep may have started in the same second
        folder = new_folder(folder, "hydra.sweep.dir")
    with reported_in(folder):
        code = run_sweep(jobs, folder, compose, Console(stderr=True))
    print(_shown(folder.absolute()))
    return code


def _start(arguments: list[str], config_dir: str | None) -> int:
    """Start Hydra, and return the highest exit code of its jobs."""
    import hydra

    from pdesim.config.compose import CONFIG_NAME, VERSION_BASE, config_folder, plain
    from pdesim.settings import read_settings

    codes: list[int] = []
    main_process = os.getpid()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra would print errors itself and exit

    @hydra.main(config_path=str(config_folder()), config_name=CONFIG_NAME, **VERSION_BASE)
    def job(config: DictConfig) -> None:
        try:
            values = plain(config)
            _job(values, read_settings(values))
        except PdesimError as error:
            if os.getpid() != main_process:  # the launcher passes the error to the main process
                raise
            codes.append(_report(error))

    if config_dir is not None:
        arguments = ["--config-dir", config_dir, *arguments]
    sys.argv = ["pdesim", *arguments]
    job()
    return max(codes, default=0)


def _job(
    values: Mapping[str, Any], settings: Settings, plan: Plan | Continuation | None = None
) -> None:
    """Execute one run in the folder that Hydra has created.

    Args:
        values: the settings as plain values.
        settings: the settings.
        plan: the plan of a new or a resumed run; None if the run has not been planned yet.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from rich.console import Console

    from pdesim.cli.resume import carry_on
    from pdesim.config.compose import to_yaml
    from pdesim.plan import build_plan
    from pdesim.run.continuation import Continuation, continue_run
    from pdesim.run.execute import Options, execute_single
    from pdesim.run.job import Job

    hydra_config = HydraConfig.get()
    folder = _shown(Path(hydra_config.runtime.output_dir))
    owns_process = hydra_config.mode is RunMode.RUN
    if plan is None and _resumes(settings, folder):
        plan = continue_run(folder, values)
    if isinstance(plan, Continuation):
        carry_on(plan, folder, Console(stderr=True), owns_process=owns_process)
        return
    plan = plan or build_plan(settings, hydra_config.runtime.choices["equation"])
    job = Job(plan, folder, to_yaml(values))
    options = Options(owns_process=owns_process, allows_hosts=owns_process)
    execute_single(job, Console(stderr=True), options)
    print(folder)


def _shown(folder: Path) -> Path:
    """Return a path relative to the current directory if it is inside this directory."""
    return Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder


def _report(error: PdesimError) -> int:
    print(f"pdesim: {error}", file=sys.stderr)
    return error.exit_code
