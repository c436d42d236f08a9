"""One file a question that is asked of servers, and what runs them."""
