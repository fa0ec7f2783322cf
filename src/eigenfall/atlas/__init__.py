"""Every way of making a representation, side by side, measured alike: what goes with robustness."""
