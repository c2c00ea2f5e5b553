"""From labelled clips to training samples: which clip, which view of it, what is seen and asked at every step."""
