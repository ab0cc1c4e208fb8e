"""Images of courses: from the staged bytes to the stored variants."""
