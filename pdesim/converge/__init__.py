"""``pdesim converge``: the error in space of a user's problem, estimated by grid refinement."""
