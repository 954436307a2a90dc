"""What the guard says and reads over HTTP, whatever framework is around it."""
