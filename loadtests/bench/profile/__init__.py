"""What a cached read costs: flame graphs, instructions, parts."""
