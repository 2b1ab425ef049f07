"""Many pictures: where they come from, where heatmaps go, who does the work, what is written down about it."""
