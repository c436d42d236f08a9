"""Load agents: processes that send in place of this one, and bring back every sample; nothing here is timed but by them."""
