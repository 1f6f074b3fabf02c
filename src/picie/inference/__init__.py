"""From images in any form to masks: one image, a batch, a folder; models on the Hub."""
