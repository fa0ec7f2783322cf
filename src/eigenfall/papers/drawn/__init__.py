"""What figures of all reproductions are drawn with, from plain values."""
