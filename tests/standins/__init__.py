"""Servers that speak a real product's documented wire format, for tests where the product itself cannot be had."""
