"""Virtual environments for single plugins: made, looked at, replaced and removed by command."""
