"""What every store does alike: each behaviour is written once and run on every driver."""
