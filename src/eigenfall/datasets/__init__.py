"""Parts of kind datasets: a file is a part."""
