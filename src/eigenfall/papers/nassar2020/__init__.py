"""Nassar et al. 2020, arXiv:2012.04729: sizes and runs, what they came to, claims, and figures."""
