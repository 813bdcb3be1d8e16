"""The parts of models: layers, losses, likelihoods, networks."""
