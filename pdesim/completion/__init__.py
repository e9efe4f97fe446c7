"""Completion of command lines in bash, zsh and fish.

- `words` finds the completions of a word, from a catalogue of commands and settings.
- `catalog` builds the catalogue from the parsers of the commands and the schema of the settings,
  which takes seconds. `cache` keeps it in a file.
- `scripts` contains the programs for the shells, which call ``pdesim complete``.

Only `catalog` imports other libraries: a completion must appear within a fraction of a second.
"""
