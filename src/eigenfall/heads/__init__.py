"""What stands on a learnt layer: the activation of its units and the readout, with the loss that fits it."""
