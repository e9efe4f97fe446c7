"""Weights of networks, which are copied into the folder of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdesim.errors import OutputError
from pdesim.model.networks import write_networks
from pdesim.plan import Plan

#: the file of the weights in the folder of a run
NETWORKS = "networks.h5"


def store_networks(plan: Plan, folder: Path) -> None:
    """Write the weights of a run's networks into its folder, if there are any.

    Raises:
        OutputError: if the file cannot be written.
    """
    if not plan.equation.networks:
        return
    try:
        write_networks(folder / NETWORKS, plan.equation.networks)
    except OSError as error:
        raise OutputError(f"{folder / NETWORKS} cannot be written ({error.strerror})") from None


def with_stored_networks(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings of a run with networks that are read from the folder of the run.

    The file that the settings name may have been changed since, for example by further training.

    Args:
        values: the settings of a run.
        folder: the folder of the run.
    """
    equation = values.get("equation")
    networks = equation.get("networks") if isinstance(equation, Mapping) else None
    path = folder.resolve() / NETWORKS
    if not isinstance(networks, Mapping) or not path.is_file():
        return dict(values)
    stored = {
        name: {**one, "weights": str(path)} if isinstance(one, Mapping) else one
        for name, one in networks.items()
    }
    assert isinstance(equation, Mapping)
    return {**values, "equation": {**equation, "networks": stored}}
