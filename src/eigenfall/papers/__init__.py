"""A paper: its runs, and what they are held against."""
