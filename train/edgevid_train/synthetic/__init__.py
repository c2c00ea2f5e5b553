"""Rendered first-person gesture clips with exact labels: what a hand does is written before it is drawn.

A clip is made in the order of these rooms: `paths` (what the fingertip draws, and when), `choreography` (what a hand
does in a clip of a label), `hands` and `relief` (how it looks), `backgrounds` and `camera` (where), `sensor` (what a
cheap camera makes of it), `scene` (all of them together). numpy and OpenCV only; no torch.
"""

from edgevid_train.synthetic.backgrounds import BackgroundBank
from edgevid_train.synthetic.paths import GESTURES, LABELS, PathBank
from edgevid_train.synthetic.scene import SyntheticClip, render_clip

__all__ = ["GESTURES", "LABELS", "BackgroundBank", "PathBank", "SyntheticClip", "render_clip"]
