"""Parts of kind architectures: a file is a part."""
