"""What reaches beyond the process, or waits: one call at a time, the exchanges it makes, and the clocks they go by."""
