"""Checks of schema changes: rules for new migrations, and the release before on the new schema."""
