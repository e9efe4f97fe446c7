"""JSON Schemas of equation files and experiment files, for editors and other programs.

The schemas are derived from the classes of the settings, from the tables of steppers, operators and
boundary conditions, and from the comments in the shipped configuration files.
"""

from pdesim.schema.build import KINDS, build_schema

__all__ = ["KINDS", "build_schema"]
