"""The figures of Nassar et al. 2020, from plain values: nothing is measured here, and none reads a record."""
