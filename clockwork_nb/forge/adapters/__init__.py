"""What a job can consist of besides a configuration's resources."""
