"""Parts of kind corruptions: a file is a part."""
