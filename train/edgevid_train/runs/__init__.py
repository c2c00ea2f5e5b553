"""A run from its data to what it leaves: `request` says what is asked, `folder` where, `splits` of which clips,
`readiness` whether it can be; `train` and `pretrain` do it, in `phases`; a `sweep` is several of them side by side.
"""
