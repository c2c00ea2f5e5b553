"""How one network learns, step by step: it knows batches, losses and checkpoints, not what is learned."""
