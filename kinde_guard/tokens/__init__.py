"""A token's way, from its text to a verdict. Private: people import what stands at the root."""
