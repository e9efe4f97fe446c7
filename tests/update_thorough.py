"""Choose the tests of README's command and those of ``.ci/run``, from measured durations.

    python -m pytest --junitxml=quick.xml
    python -m pytest -m "thorough or slow" --junitxml=others.xml    # hours
    python tests/update_thorough.py quick.xml others.xml

Writes ``tests/thorough.txt``. The test functions without which the rest takes less than ``QUICK``
seconds, the most expensive first, are thorough: README's command leaves them out. ``.ci/run``
runs as many cases of each as take ``EACH`` seconds, spread over all cases, and at least one if that
takes less than ``LONGEST`` seconds or if the function is in ``ALWAYS``. This number of cases stands
behind the name of the function; all other cases are slow. Functions without measurements keep
their line, and thorough functions remain thorough, since not all of their cases need be measured.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

#: seconds of all tests of README's command together, on one core
QUICK = 540.0
#: seconds of one thorough function in ``.ci/run``
EACH = 2.0
#: seconds of one case that ``.ci/run`` runs though it takes longer than ``EACH``
LONGEST = 5.0
ALL = 1000
#: functions that ``.ci/run`` always runs, and the number of their cases
ALWAYS = {
    "cli/test_commands.py::test_a_run_leaves_its_files": 1,
    "cli/test_commands.py::test_help_and_list": 1,
    "cli/test_commands.py::test_nothing_is_overwritten": 1,
    "docs/test_gallery.py::test_every_equation_was_measured_with_its_present_settings": 1,
    "docs/test_gallery.py::test_generated_pages_are_up_to_date": 1,
    "docs/test_readme.py::test_commands_of_the_readme": ALL,
    "docs/test_readme.py::test_documents_run_from_top_to_bottom": ALL,
    "docs/test_readme.py::test_examples_of_extensions": ALL,
    "docs/test_tutorial.py::test_the_tutorial": 1,
    "engine/test_arrays.py::test_an_array_is_the_formula_of_its_values": 1,
    "engine/test_distributed.py::test_frames_are_those_of_one_device": 2,
    "engine/test_flat_loops.py::test_adaptive_steps_in_slabs": 1,
    "engine/test_flat_loops.py::test_flat_arrays_give_the_results_of_the_plain_form": 1,
    "engine/test_flat_loops.py::test_tiles_give_the_results_of_the_plain_form": 1,
    "engine/test_held_slabs.py::test_results_are_those_of_states_on_the_grid": 1,
    "engine/test_members_on_devices.py::test_frames_are_those_of_one_device": 1,
    "engine/test_part_sampler.py::test_values_are_those_of_one_device": 1,
    "engine/test_rows_in_slabs.py::test_frames_are_those_of_one_device": 1,
    "engine/test_time_loop.py::test_xla_and_plain_graphs_agree": 1,
    "export/test_export.py::test_the_command": 1,
    "fitting/test_fit_forward.py::test_derivatives_equal_differences_of_single_runs": 1,
    "model/test_masks.py::test_a_straight_obstacle_is_a_wall": 1,
    "operators/test_constraints.py::test_energy_and_enstrophy_follow_their_budgets": 1,
    "run/test_faults.py::test_killed_runs_go_on_bit_for_bit": 1,
    "run/test_faults.py::test_resume_and_recover_as_commands": 1,
    "run/test_faults.py::test_signals_end_a_run_soon_with_a_checkpoint": 2,
    "run/test_observables.py::test_resumed_series_have_the_same_bits": 1,
    "run/test_on_hosts.py::test_a_killed_process_ends_the_others_and_the_run_is_resumed": 1,
    "run/test_on_hosts.py::test_the_files_are_those_of_one_process": 1,
    "run/test_rerun.py::test_a_given_folder": 1,
    "run/test_resume.py::test_every_equation_goes_on_with_the_same_bits": 1,
    "steppers/test_new_stepper.py::test_its_order_on_every_loop": 1,
    "steppers/test_scalars.py::test_a_scalar_may_be_a_boundary_value": 1,
    "sweeps/test_sweep.py::test_a_member_goes_on_alone_with_the_bits_of_its_batch": 1,
    "sweeps/test_sweep.py::test_members_are_what_single_runs_are": 2,
    "sweeps/test_workers.py::test_each_worker_takes_a_batch": 1,
    "verify/test_verify.py::test_fourth_order_with_values_at_the_boundary": 1,
    "verify/test_verify.py::test_the_command": 1,
}
TARGET = Path(__file__).with_name("thorough.txt")


def cases(reports: list[str]) -> Iterator[tuple[str, float]]:
    """Test functions, once for each of their cases, with its seconds."""
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
            function = case.get("name", "").partition("[")[0]
            yield f"{module}.py::{function}", float(case.get("time", 0))


def sample(name: str, seconds: list[float]) -> int:
    """How many cases of a function ``.ci/run`` runs."""
    mean = sum(seconds) / len(seconds)
    wanted = int(EACH / mean) if mean else len(seconds)
    return min(len(seconds), max(wanted, int(mean < LONGEST), ALWAYS.get(name, 0)))


def main(reports: list[str]) -> None:
    kept = dict(line.split() for line in TARGET.read_text().splitlines())
    measured: dict[str, list[float]] = defaultdict(list)
    for name, seconds in cases(reports):
        measured[name].append(seconds)
    left = sum(sum(seconds) for name, seconds in measured.items() if name not in kept)
    for name in sorted(measured, key=lambda name: sum(measured[name]), reverse=True):
        if name not in kept:
            if left <= QUICK:
                continue
            left -= sum(measured[name])
        kept[name] = str(sample(name, measured[name]))
    TARGET.write_text("".join(f"{name} {number}\n" for name, number in sorted(kept.items())))
    print(f"{len(kept)} functions are thorough; the others take {left:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
