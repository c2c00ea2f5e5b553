"""Networks: the streaming student with its exits, and the teachers it learns from."""
