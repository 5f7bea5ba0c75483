"""Floor 3: derivatives of discrete models: a relaxation or an estimator a file, and the audit that judges them."""
