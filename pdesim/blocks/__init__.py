"""Blocks of steps as compiled programs."""

from pdesim.blocks.blocks import Blocks
from pdesim.blocks.chosen import VANISHING

__all__ = ["VANISHING", "Blocks"]
