"""Fits of parameters to data.

- `settings` and `parameters`: the sections ``data`` and ``fit``. `sources` reads data files, `data`
  places their values on a grid, `prepare` decides what the settings leave open.
- `members` (plans that differ in parameters) and `forward` (parameters to frames, in memory).
- `residuals` (and their derivatives by differences), `optimise` (SciPy), `log` (every evaluation,
  from which a fit is resumed), `compute` (from a task to a result).
- `statistics` (standard errors, parameters that the data do not determine), `result`, `report`,
  `plot`, and the files in the `folder` of a fit. `run` is the whole fit.
"""
