"""Where events, notices and what there is to see go: files, the terminal, a window. None knows where they come from."""
