"""Holzhausen et al. 2024, arXiv:2405.00679: sizes and runs, what they came to, claims, and figures."""
