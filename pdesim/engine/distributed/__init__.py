"""Domain decomposition: one problem on several devices, each with a part of the grid.

The last axis of the grid (the first axis of arrays) is divided into parts. Each device advances its
part with the programs of a single device, on an array with ghost rows on both sides that are copies
of the neighbours' rows. Every right-hand side makes the outermost valid ghost rows invalid, so that
devices exchange rows once in several steps. All other rows have bit for bit the values that one
device computes.
"""
