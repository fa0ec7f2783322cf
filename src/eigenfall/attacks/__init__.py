"""Parts of kind attacks: a file is a part."""
