"""What every fleet must do for the controller, tried on real back ends."""
