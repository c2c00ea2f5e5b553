"""How good something is that was trained: its answers to clips, its events in streams, and a page about them."""
