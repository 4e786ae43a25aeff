"""Sources of the operator to what the unifier reads."""
