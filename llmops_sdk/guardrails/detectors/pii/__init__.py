"""Find personal data: addresses, numbers and dates of people."""
