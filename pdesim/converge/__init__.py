"""``pdesim converge``: estimates the spatial error of a user's problem by refining the grid."""
