"""What a request costs by the path that it takes: with a browser's headers and without."""
