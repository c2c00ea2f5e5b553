"""What a network is asked, and what an answer costs: labels, places, and what a teacher says."""
