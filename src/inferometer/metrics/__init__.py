"""What the numbers mean: metric dictionary, percentiles, goodput, verdict, other tools' views."""
