"""Records to one self-contained HTML page. It reads values and computes nothing that a record does not hold."""
