"""Rendered first-person gesture clips with exact labels: what a hand does is written before it is drawn.

A clip is made in the order of these rooms: `paths` (what the fingertip draws, and when), `choreography` (what a hand
does in a clip of a label), `hands` and `relief` (how it looks), `backgrounds` and `camera` (where), `sensor` (what a
cheap camera makes of it), `scene` (all of them together). numpy and OpenCV only; no torch.
Nothing is imported here: the command line is assembled from a module of this package, and must not wait for OpenCV.
"""
