"""Where faces and holes come from: drawn or read, in one form."""
