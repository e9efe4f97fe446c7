"""Dense linear systems ``A x = y``, solved by factorisation on a CPU or a GPU.

`settings` and `inputs` determine A and y, `memory` checks what they need, `solve` runs TensorFlow,
`result` writes and reads the file of a solution, and `command` does all of it.
"""
