"""Where inputs come from and heatmaps go: files, folders, archives, lists, URLs."""
