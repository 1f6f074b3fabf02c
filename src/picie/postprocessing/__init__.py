"""From logits to masks: refined boundaries, upsampling, tiles of large images."""
