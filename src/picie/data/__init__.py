"""Pictures, masks and class names from folders; synthetic scenes with truth."""
