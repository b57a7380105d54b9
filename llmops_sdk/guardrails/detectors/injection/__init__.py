"""Score texts for prompt injections and jailbreaks with a small linear model."""
