"""Holzhausen et al. 2024, Exploring mechanisms of Neural Robustness: runs, figures and claims."""
