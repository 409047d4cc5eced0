"""What people look at: pages, reports, recordings for Rerun, and what a policy sees."""
