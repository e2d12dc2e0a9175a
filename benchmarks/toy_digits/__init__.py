"""The toy experiment of paper §4.1: memory autoencoders that learn the digit 2 and are shown all digits."""
