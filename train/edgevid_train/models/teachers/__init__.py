"""Teachers: ours on stages of others (`frames`, `x3d`), those that others build (`published`, `networks`), ensembles.

`table` lists the kinds, `config` is what a recipe says of one, `build` makes it. This file and `table` import no
torch, so that the kinds can be listed without it.
"""
