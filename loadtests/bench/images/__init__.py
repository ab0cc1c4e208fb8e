"""Ways from a 12-megapixel JPEG to three WebP variants, side by side; `make bench-images`."""
