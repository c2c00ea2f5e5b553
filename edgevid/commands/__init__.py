"""The commands of the runtime, one module each, with `register(app)`; heavy imports wait until a command runs."""
