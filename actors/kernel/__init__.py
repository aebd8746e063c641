"""The modelled kernel: actors whose text is the latest design, and pieces that change it."""
