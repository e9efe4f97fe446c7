"""``pdesim converge``: the error in space of a user's own problem, by refining its grid."""
