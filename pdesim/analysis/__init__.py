"""Linear stability analysis of uniform states: growth rates, patterns and thresholds.

- `reactions` is the right-hand side for uniform fields and its Jacobian for plane waves, which
  `tape` evaluates fast.
- `states` finds uniform steady states with `roots` (Newton's method), `eliminate` (polynomials) and
  `constraints` (conserved quantities).
- `growth` examines growth rates over the wave number, `modes` the waves that fit into the domain,
  and `classify` names the kind of instability.
- `thresholds` follows `branches` of states over a parameter and bisects the sign changes of
  `criteria`.
- `compute` makes the `result` of a problem, `settings` that of settings; `report` prints it and
  `plot` draws it.

Nothing here imports TensorFlow.
"""

from pdesim.analysis.result import Analysis, Curve, Sample, State, Threshold, Thresholds, Wave
from pdesim.analysis.settings import analyze_settings

__all__ = [
    "Analysis",
    "Curve",
    "Sample",
    "State",
    "Threshold",
    "Thresholds",
    "Wave",
    "analyze_settings",
]
