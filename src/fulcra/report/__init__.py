"""Results as pages, figures, Markdown and terminal tables: reads values, computes nothing."""
