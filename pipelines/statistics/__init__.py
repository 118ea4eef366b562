"""What follows what, and what is chosen beside what: item-to-item statistics of the training period."""
