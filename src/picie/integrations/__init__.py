"""Models inside other programs, in the way in which these programs call them."""
