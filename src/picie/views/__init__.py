"""Photometric and geometric transforms; drawing parameters is separate from applying them."""
