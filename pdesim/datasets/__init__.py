"""Data sets of trajectories for machine learning.

A data set is a sweep whose runs are moved to files in another layout, part by part, and then
deleted. `settings` and `design` determine the trajectories, their splits and their shards.
`compute` computes a shard, and `statistics` reads its frames once. `layouts` write the files,
`records` store what is finished, and `card` describes the data set. `command` does all of it.
"""
