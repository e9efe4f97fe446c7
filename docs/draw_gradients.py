"""Draw the pictures of docs/gradients.md from the results of its examples.

python docs/draw_gradients.py
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

PAGE = Path(__file__).with_name("gradients.md")
COLOURS = ("tab:blue", "tab:orange", "tab:green")


def results() -> dict[str, Any]:
    """Return the variables of the page's examples, which are executed in a temporary folder."""
    names: dict[str, Any] = {}
    parts = re.findall(r"^```(console|python|yaml)\n(.*?)^```", PAGE.read_text(), flags=re.S | re.M)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for language, block in parts:
            if language == "python":
                exec(compile(block, PAGE.name, "exec"), names)
            elif language == "yaml":
                path = Path(block.splitlines()[0][2:])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block)
            else:
                for line in block.splitlines():
                    subprocess.run([sys.executable, "-m", *shlex.split(line)], check=True)
        os.chdir(PAGE.parent)
    return names


def draw_initial(names: dict[str, Any]) -> None:
    """Draw the initial state, the first noisy frame, and the recovered initial state."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
    shown = {
        "initial state": names["true"],
        "noisy frame at t = 0.2": names["noisy"][0],
        "recovered initial state": names["recovered"],
    }
    for axis, (title, values) in zip(axes, shown.items(), strict=True):
        image = axis.imshow(values, origin="lower", extent=(0, 1, 0, 1), vmin=-0.05, vmax=1)
        axis.set(title=title, xlabel="x", ylabel="y")
    figure.colorbar(image, ax=axes, label="u")
    figure.savefig("gradients_initial.png", dpi=100)


def draw_coefficient(names: dict[str, Any]) -> None:
    """Draw the coefficient, the start and the result, and some of the noisy frames."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    x = names["x"]
    left.plot(x, np.exp(names["start"]), "--", color="tab:grey", label="start")
    left.plot(x, names["conductivity"], color="black", label="D of the data")
    left.plot(x, names["coefficient"], "o", color="tab:orange", label="recovered D")
    left.set(xlabel="x", ylabel="D", ylim=(0, None))
    left.legend()
    for number in (0, 3, 6, 10):
        right.plot(x, names["noisy_u"][number], label=f"t = {number / 10:g}")
    right.set(xlabel="x", ylabel="u, with noise")
    right.legend()
    figure.savefig("gradients_coefficient.png", dpi=100)


def _portrait(axis: Axes, names: dict[str, Any], kinetics: Any, title: str) -> None:
    u, v = np.meshgrid(np.linspace(-1.5, 1.5, 61), np.linspace(-1.2, 1.2, 61))
    rates = np.moveaxis(kinetics(u, v), -1, 0)
    film = names["film"]
    axis.scatter(film["u"], film["v"], s=3, color="0.75", label="states of the frames")
    axis.streamplot(u, v, *rates, color="tab:grey", density=0.9, linewidth=0.6, arrowsize=0.8)
    for rate, colour, label in zip(rates, COLOURS, ("du/dt = 0", "dv/dt = 0"), strict=False):
        axis.contour(u, v, rate, levels=[0], colors=colour, linewidths=2)
        axis.plot([], [], color=colour, linewidth=2, label=label)
    axis.set(title=title, xlabel="u", ylabel="v", xlim=(-1.5, 1.5), ylim=(-1.2, 1.2))


def draw_reaction(names: dict[str, Any]) -> None:
    """Draw the phase portraits of the network and of the reaction that it learned."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    _portrait(axes[0], names, names["network"], "network")
    _portrait(axes[1], names, names["reaction"], "FitzHugh-Nagumo")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig("gradients_reaction.png", dpi=100)


def draw_spirals(names: dict[str, Any]) -> None:
    """Draw the points, and the classes over the plane."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 300), np.linspace(-1.2, 1.2, 300))
    matrix, bias, matrix_out, bias_out = (one.numpy() for one in names["variables"])
    outputs = np.tanh(np.stack([x, y], axis=-1) @ matrix + bias) @ matrix_out + bias_out
    levels = [-0.5, 0.5, 1.5, 2.5]
    left.contourf(x, y, np.argmax(outputs, axis=-1), levels, colors=COLOURS, alpha=0.3)
    radius, angle = (names["points"].initial[name] for name in ("radius", "angle"))
    for number, colour in enumerate(COLOURS):
        own = names["classes"] == number
        place = radius[own] * np.sin(angle[own]), radius[own] * np.cos(angle[own])
        left.scatter(*place, s=10, color=colour, edgecolor="black", linewidth=0.3)
    left.set(title="points, and classes of the network", aspect="equal")
    right.plot(np.arange(1, len(names["accuracies"]) + 1), names["accuracies"])
    right.axhline(0.95, linestyle="--", color="tab:grey")
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1))
    figure.savefig("gradients_spirals.png", dpi=100)


if __name__ == "__main__":
    found = results()
    for draw in (draw_initial, draw_coefficient, draw_reaction, draw_spirals):
        draw(found)
