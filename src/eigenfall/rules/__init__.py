"""Local learning rules: a layer of units that learns from batches of inputs, without targets."""
