"""The HTTP interface: a file per noun, one problem document for whatever goes wrong."""
