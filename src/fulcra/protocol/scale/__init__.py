"""An audit on many accelerators: what it costs on paper, and how well its shards fill them."""
