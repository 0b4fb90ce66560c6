"""How long a step takes: a model with a handful of coefficients, priors from data sheets, and stored profiles."""
